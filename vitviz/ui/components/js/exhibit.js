// What the picture and the board share: their payloads, their scale, and the life of a component.

import { element } from "./element.js";
import { drawScale } from "./painting.js";
import { decode } from "./wire.js";

const KEPT = 12;
const loaded = new Map(); // url -> Promise of a payload, in the order of last use

export function load(url) {
  const known = loaded.get(url);
  loaded.delete(url);
  const wanted = known || fetchPayload(url);
  if (!known) wanted.catch(() => loaded.delete(url));
  loaded.set(url, wanted);
  for (const oldest of loaded.keys()) {
    if (loaded.size <= KEPT) break;
    loaded.delete(oldest);
  }
  return wanted;
}

async function fetchPayload(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`payload: ${answer.status}`);
  const payload = decode(await answer.arrayBuffer());
  if (payload.arrays.picture) payload.picture = await createImageBitmap(new Blob([payload.arrays.picture]));
  return payload;
}

// A canvas of `width` x `height` CSS pixels at the screen's own resolution. -> its context, in CSS pixels.
export function sized(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

// The colour bar with its numbers. heat: { signed, flat, ticks: [[place, text]], caption } or null.
export function paintScale(box, heat) {
  box.replaceChildren();
  box.hidden = !heat;
  if (!heat) return;
  const parts = [];
  if (!heat.flat) {
    const bar = element("canvas", { class: "ramp", width: 256, height: 1, "aria-hidden": "true" });
    drawScale(bar.getContext("2d"), heat.signed);
    const ticks = heat.ticks.map(([place, text]) =>
      element("span", { text, style: `left: ${place * 100}%; transform: translateX(${-place * 100}%)` }),
    );
    parts.push(bar, element("div", { class: "ticks" }, ...ticks));
  }
  box.append(...parts, element("div", { class: "caption", text: heat.caption }));
}

// The four arrow keys as [rows, columns] to go; undefined for other keys.
export function stepOf(key) {
  return { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
}

export function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}

// Fills the {blanks} of a sentence.
export function fill(sentence, blanks) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => blanks[name]);
}

// A component's default export: one View for each place on the page. Streamlit calls it again whenever its data change.
export function mounted(View) {
  const views = new WeakMap();
  return (component) => {
    const { parentElement, data } = component;
    let view = views.get(parentElement);
    if (!view) {
      view = new View(parentElement);
      views.set(parentElement, view);
    }
    view.show(component, data);
    return () => {
      view.close();
      views.delete(parentElement);
    };
  };
}
