// From pointers and keys to cells and choices: mouse, pen, finger and keyboard alike.

import { cellsBetween } from "../core/state.js";

const TAP_TOLERANCE = 10; // CSS pixels a finger may slip and still mean a tap
const TAP_MS = 600;
const AFTER_CLICK_MS = 50; // from the end of a touch, by when its click has come
const SECOND_DIGIT_MS = 700; // two digits typed within this time name one head: 1 and 1 is head 11

const SHARED = "vitviz-shared-cursor"; // an event of the window

// Milliseconds after which a choice by key is reported: a key that is held down asks once.
export const HELD_KEY_MS = 200;

// The arrow keys as [rows, columns] to go.
export const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// The point [row, col] under a pointer event in fractions of cells; outside the canvas it goes on beyond the grid.
export function pointUnder(event, canvas, [rows, cols]) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientY - box.top) / box.height) * rows, ((event.clientX - box.left) / box.width) * cols];
}

// The cell [row, col] under a pointer event; null outside the canvas.
export function cellUnder(event, canvas, [rows, cols]) {
  const [row, col] = pointUnder(event, canvas, [rows, cols]).map(Math.floor);
  return row >= 0 && row < rows && col >= 0 && col < cols ? [row, col] : null;
}

// hover(event): the pointer is over the canvas, or a finger drags over it. leave(): mouse or pen went away; what a finger pointed at
// stays when it is lifted (`leaveElsewhere`). tap(event): click or tap, where no button around the canvas answers clicks. The canvas
// has `touch-action: pan-y pinch-zoom`, so a finger that moves up or down still scrolls the page, and two of them zoom it.
export function watchPointer(canvas, { hover, leave, tap }) {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    down = event.isPrimary && event.button === 0 ? event : null;
    if (down && event.pointerType !== "mouse") hover(event);
  });
  // A raw update comes at once and `pointermove` with the next frame, by which the answer can be under way. Not every browser has
  // raw updates, and none on a page without a secure origin, so both have a listener.
  for (const moved of ["pointerrawupdate", "pointermove"]) {
    canvas.addEventListener(moved, (event) => {
      if (event.isPrimary) hover(event);
    });
  }
  canvas.addEventListener("pointerup", (event) => {
    if (!down || !event.isPrimary) return;
    const slipped = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
    const meant = event.pointerType === "mouse" || event.timeStamp - down.timeStamp < TAP_MS;
    if (slipped < TAP_TOLERANCE && meant) tap?.(event);
    down = null;
  });
  canvas.addEventListener("pointercancel", () => {
    down = null;
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") leave();
  });
}

// What a finger pointed at is left when it has touched something else: after the click, because words that are left take another
// height, and what is below them would move under the finger. -> stop()
export function leaveElsewhere(node, leave) {
  let leaving = 0;
  const elsewhere = (event) => {
    if (event.pointerType === "touch" && !event.composedPath().includes(node)) leaving = setTimeout(leave, AFTER_CLICK_MS);
  };
  const ends = ["pointerup", "pointercancel"];
  for (const end of ends) window.addEventListener(end, elsewhere, true);
  return () => {
    clearTimeout(leaving);
    for (const end of ends) window.removeEventListener(end, elsewhere, true);
  };
}

// Sends what waits as soon as something else is pressed or reached: what a button does must come after what was painted before.
// -> stop()
export function flushOnLeaving(node, reports) {
  const elsewhere = (event) => {
    if (!event.composedPath().includes(node)) reports.flush();
  };
  const away = () => reports.flush();
  window.addEventListener("pointerdown", elsewhere, true);
  node.addEventListener("blur", away);
  return () => window.removeEventListener("pointerdown", elsewhere, true);
}

// Ties a mask to a canvas: drawn with a mouse or a pen, with a finger where `fingers()` says so and tapped with it otherwise (it must
// stay free to scroll), and by keyboard at the cursor. at(event) -> the point [row, col] in fractions of cells, which may lie
// outside, or null; cursor() -> the cell [row, col] of the keyboard or null; grid() -> [rows, cols], null where nothing is painted.
export function watchBrush(canvas, mask, { at, cursor, grid, fingers = () => false, ended = () => {} }) {
  let last = null; // the point up to which the stroke has come
  let pointer = null;
  let tapping = false;
  const inside = (point, [rows, cols]) => point && point[0] >= 0 && point[1] >= 0 && point[0] < rows && point[1] < cols;
  const index = ([row, col]) => Math.floor(row) * grid()[1] + Math.floor(col);
  canvas.addEventListener("pointerdown", (event) => {
    tapping = event.pointerType === "touch" && !fingers();
    if (mask.stroke !== null && !event.isPrimary) return stop(true); // a second finger: they zoom
    const point = grid() && !tapping && event.isPrimary && event.button === 0 ? at(event) : null;
    if (!grid() || !inside(point, grid())) return;
    last = point;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer); // a stroke goes on outside, and comes back
    mask.begin(index(point));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (mask.stroke === null || event.pointerId !== pointer || !grid()) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) {
      const point = at(each);
      if (!point) continue;
      for (const cell of cellsBetween(last, point, grid())) mask.over(index(cell));
      last = point;
    }
  });
  const stop = (cancelled) => {
    if (mask.stroke === null) return;
    if (cancelled) mask.cancel();
    else mask.end();
    last = pointer = null;
    ended();
  };
  canvas.addEventListener("pointerup", (event) => event.pointerId === pointer && stop(false));
  canvas.addEventListener("pointercancel", (event) => event.pointerId === pointer && stop(true));
  canvas.addEventListener("lostpointercapture", (event) => event.pointerId === pointer && stop(false));
  canvas.addEventListener("click", (event) => {
    const point = grid() && tapping ? at(event) : null;
    if (!point || !inside(point, grid())) return;
    mask.toggle(index(point));
    ended();
  });
  canvas.addEventListener("keydown", (event) => {
    if (!grid() || (event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    if (!cursor()) return;
    mask.toggle(index(cursor()));
    ended();
  });
}

// What a key press asks of the microscope. It only reads; the view decides what to do about it.
export class Keys {
  constructor() {
    this.digits = "";
    this.typedAt = -Infinity;
  }

  // -> { act, ... } or null. `inControl` says that the focus is in a slider or a list, which keep their own keys.
  read(event, numHeads, inControl) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (event.key === "Escape") return { act: "release" };
    if (event.key === "[") return { act: "layer", by: -1 };
    if (event.key === "]") return { act: "layer", by: 1 };
    if (inControl) return null;
    if (STEPS[event.key]) return { act: event.shiftKey ? "read" : "move", step: STEPS[event.key] };
    if (/^[0-9]$/.test(event.key)) return { act: "head", head: this.#head(event, numHeads) };
    if (event.key === "a") return { act: "head", head: "all" };
    if (event.key === "m") return { act: "head", head: "mean" };
    if (event.key === "d") return { act: "direction" };
    if (event.key === "l") return { act: "links" };
    return null;
  }

  #head(event, numHeads) {
    const recent = event.timeStamp - this.typedAt < SECOND_DIGIT_MS;
    const both = Number(this.digits + event.key);
    this.digits = recent && both < numHeads ? this.digits + event.key : event.key;
    this.typedAt = event.timeStamp;
    return Math.min(Number(this.digits), numHeads - 1);
  }
}

// Pictures of one group share a cursor: what is pointed at in one of them is marked in all. Places travel as shares of height and
// width, so that grids may differ.
export class SharedCursor {
  // changed(message): called with what another member of the group sent.
  constructor(changed) {
    this.group = "";
    this.listen = ({ detail }) => {
      if (this.group && detail.group === this.group && detail.from !== this) changed(detail.message);
    };
    window.addEventListener(SHARED, this.listen);
  }

  send(message) {
    if (this.group) window.dispatchEvent(new CustomEvent(SHARED, { detail: { group: this.group, from: this, message } }));
  }

  destroy() {
    window.removeEventListener(SHARED, this.listen);
  }
}
