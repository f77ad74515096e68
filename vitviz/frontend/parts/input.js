// Translates pointer and keyboard events into cells of a grid and commands, for mouse, pen, touch and keys.

import { cellsBetween } from "../core/state.js";

const TAP_TOLERANCE = 10; // CSS pixels that a finger may move during a tap
const TAP_MS = 600;
const AFTER_CLICK_MS = 50; // time from the end of a touch until its click event has been fired
const SECOND_DIGIT_MS = 700; // two digits typed within this time are one head number: 1 and 1 select head 11

const SHARED = "vitviz-shared-cursor"; // name of an event that is dispatched on the window

// Delay in milliseconds before a selection by keyboard is reported, so that a key that is held down causes one report.
export const HELD_KEY_MS = 200;

// The steps of the arrow keys: [rows, columns].
export const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// -> the point [row, col] under a pointer event, in fractions of cells; outside the canvas it is outside the grid
export function pointUnder(event, canvas, [rows, cols]) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientY - box.top) / box.height) * rows, ((event.clientX - box.left) / box.width) * cols];
}

// -> the cell [row, col] under a pointer event; null outside the canvas
export function cellUnder(event, canvas, [rows, cols]) {
  const [row, col] = pointUnder(event, canvas, [rows, cols]).map(Math.floor);
  return row >= 0 && row < rows && col >= 0 && col < cols ? [row, col] : null;
}

// Listens for pointer events on a canvas. hover(event): the pointer is over the canvas, or a finger is dragged over it. leave(): a
// mouse or pen has left; after a touch, `leaveElsewhere` is used instead, so that the marked patch stays when the finger is lifted.
// tap(event): a click or tap; omitted if a button around the canvas handles clicks. The canvas has `touch-action: pan-y
// pinch-zoom`, so that the page can still be scrolled and zoomed by touch.
export function watchPointer(canvas, { hover, leave, tap }) {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    down = event.isPrimary && event.button === 0 ? event : null;
    if (down && event.pointerType !== "mouse") hover(event);
  });
  // `pointerrawupdate` is fired at once, `pointermove` only with the next frame, so the raw event lets painting start earlier. It
  // is missing in some browsers and in all insecure contexts, so both events have a listener.
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

// Calls `leave` after a touch outside `node`. It waits for the click event of that touch: texts that change their height would
// otherwise move the clicked element away from under the finger. -> stop()
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

// Sends waiting reports as soon as something outside `node` is pressed or focused, so that Python receives them before the action
// of that control. -> stop()
export function flushOnLeaving(node, reports) {
  const elsewhere = (event) => {
    if (!event.composedPath().includes(node)) reports.flush();
  };
  const away = ({ relatedTarget }) => {
    if (!node.contains(relatedTarget)) reports.flush();
  };
  window.addEventListener("pointerdown", elsewhere, true);
  node.addEventListener("focusout", away);
  return () => window.removeEventListener("pointerdown", elsewhere, true);
}

// Lets the visitor paint a mask on a canvas: with strokes of a mouse or pen; by touch with strokes if `fingers()` is true, else
// with taps, so that the page can be scrolled; with the keyboard at the cursor. at(event) -> the point [row, col] in fractions of
// cells, possibly outside the grid, or null. cursor() -> the cell [row, col] of the keyboard cursor, or null. grid() -> [rows,
// cols], or null if painting is disabled.
export function watchBrush(canvas, mask, { at, cursor, grid, fingers = () => false, ended = () => {} }) {
  let last = null; // last point of the stroke
  let pointer = null;
  let tapping = false;
  const inside = (point, [rows, cols]) => point && point[0] >= 0 && point[1] >= 0 && point[0] < rows && point[1] < cols;
  const index = ([row, col]) => Math.floor(row) * grid()[1] + Math.floor(col);
  canvas.addEventListener("pointerdown", (event) => {
    tapping = event.pointerType === "touch" && !fingers();
    if (mask.stroke !== null && !event.isPrimary) return stop(true); // a second finger: the gesture is a pinch zoom
    const point = grid() && !tapping && event.isPrimary && event.button === 0 ? at(event) : null;
    if (!grid() || !inside(point, grid())) return;
    last = point;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer); // events continue while the pointer is outside the canvas
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

// Reads the keyboard commands of the microscope. It changes no state of the view, which carries the commands out.
export class Keys {
  constructor() {
    this.digits = "";
    this.typedAt = -Infinity;
  }

  // -> the command { act, ... }, or null. inControl: whether the focus is in a slider or a list, which handle some keys themselves
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

// Synchronises the cursor between pictures of a group: the patch under the pointer in one picture is marked in all. Positions are
// sent as fractions of height and width, because grids may differ.
export class SharedCursor {
  // changed(message): called with a message of another member of the group.
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
