// What a view says of itself: the question and the answer in words, the live region, and what could not be fetched.

import { cellOf } from "../core/layout.js";
import { number, strongest } from "../core/scale.js";
import { boxOf } from "../render/marks.js";
import { sizeCanvas } from "../render/surface.js";
import { element, setAttribute, setText } from "./dom.js";

const SHOWN = 3; // targets that are shown as thumbnails
const THUMBNAIL = 28; // CSS pixels

const REST_MS = 400; // after the last change, so that a held key is spoken once

// A live region: says the last thing, when nothing more has come.
export class Announcer {
  constructor() {
    this.node = element("p", { class: "unseen", "aria-live": "polite" });
  }

  announce(text) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.node, text), REST_MS);
  }

  destroy() {
    clearTimeout(this.timer);
  }
}

// One token as people see it: the patch itself, or the name of one that is no patch, and its number.
class Thumbnail {
  constructor() {
    this.canvas = element("canvas");
    this.name = element("span", { class: "token-name" });
    this.value = element("span", { class: "token-value" });
    this.node = element("span", { class: "token" }, this.canvas, this.name, this.value);
  }

  show(bitmap, words, layout, token, value = "") {
    const cell = cellOf(layout, token);
    this.node.hidden = false;
    this.canvas.hidden = !cell || !bitmap;
    if (cell && bitmap) {
      sizeCanvas(this.canvas, THUMBNAIL, THUMBNAIL);
      const { width, height } = this.canvas;
      this.canvas.getContext("2d").drawImage(bitmap, ...boxOf(layout.grid, cell, bitmap), 0, 0, width, height);
    }
    setText(this.name, cell ? "" : words.token(layout, token));
    setText(this.value, value);
  }

  clear() {
    if (this.node.hidden) return;
    this.node.hidden = true;
    this.canvas.width = 0; // nothing of the last patch is left on it
  }
}

// The words of the microscope: question and answer as thumbnails, the same in words for who does not see them.
export class Narrator {
  // canvas: the picture that the text alternative is for. bitmap() -> the photograph that thumbnails are cut from, or null.
  constructor(canvas, words, bitmap) {
    this.canvas = canvas;
    this.words = words;
    this.bitmap = bitmap;
    this.source = new Thumbnail();
    this.verb = element("span", { class: "verb" });
    this.targets = Array.from({ length: SHOWN }, () => new Thumbnail());
    this.place = element("span", { class: "place" });
    const shown = [this.source.node, this.verb, ...this.targets.map((target) => target.node), this.place];
    this.shown = element("div", { class: "asked-of", "aria-hidden": "true" }, ...shown);
    this.asked = element("p", { class: "asked unseen" });
    this.state = element("p", { class: "state" });
    this.reading = element("p", { class: "reading unseen" });
    this.announcer = new Announcer();
    this.live = this.announcer.node;
    this.node = element("div", { class: "words" }, this.shown, this.state, this.asked, this.reading);
  }

  // While another answer is loading, nothing is said of the last one.
  wait(text) {
    for (const each of [this.source, ...this.targets]) each.clear();
    setText(this.verb, "");
    setText(this.place, "");
    setText(this.state, text);
    setText(this.reading, "");
    setAttribute(this.canvas, "aria-label", text);
    this.waited = true;
    this.#announce(text);
  }

  // marks: { target, pinned }. head: whose numbers are read out. loud: whether they are spoken.
  describe(answer, view, { target, pinned }, head, loud) {
    const { words } = this;
    const source = words.token(answer.layouts.source, answer.source);
    const said = view.head === head ? view : { ...view, head };
    setText(this.asked, words.format("asked", { source, verb: words.verb(view.direction) }));
    setText(this.state, words.format(pinned ? "state_pinned" : "state_free"));
    setText(this.reading, target === null ? words.strongest(answer, head) : words.value(answer, head, target));
    this.#show(answer, view, head, target);
    const label = words.alternative(answer, said, pinned);
    setAttribute(this.canvas, "aria-label", label);
    if (loud || this.waited) this.#announce(target === null ? label : this.reading.textContent);
    this.waited = false; // what was waited for is spoken, too
  }

  #show(answer, view, head, target) {
    const { words } = this;
    const bitmap = this.bitmap();
    const values = answer.of(head);
    const tokens = target === null ? strongest(values, SHOWN) : [target];
    this.source.show(bitmap, words, answer.layouts.source, answer.source);
    setText(this.verb, words.verb(view.direction));
    this.targets.forEach((thumbnail, i) => {
      if (i < tokens.length) thumbnail.show(bitmap, words, answer.layouts.target, tokens[i], number(values[tokens[i]]));
      else thumbnail.clear();
    });
    setText(this.place, words.format("in_layer", { layer: view.layer, head: words.head(head === "all" ? "mean" : head) }));
  }

  #announce(text) {
    if (text !== this.spoken) this.announcer.announce(text);
    this.spoken = text;
  }

  destroy() {
    this.announcer.destroy();
  }
}

// What stands where a reading will: that it is loading; where that failed, the status says so, and the line is empty.
export function placeholder({ state }, words) {
  return state === "failed" ? "\u00a0" : words.format("loading");
}

// That something is loading, or what could not be fetched and how to ask once more.
export class Status {
  // again(): tries once more; done by itself, too, when the network is back.
  constructor(words, again) {
    Object.assign(this, { words, again });
    this.text = "";
    this.node = element("p", { class: "failure", role: "alert", hidden: true });
    window.addEventListener("online", again);
  }

  // loader: a Loader. blanks: for the name of what is missing.
  show(root, { state, error, missing }, blanks = {}) {
    setAttribute(root, "aria-busy", state === "loading");
    setAttribute(root, "data-state", state);
    const text = error ? this.#sentence(error, missing, blanks) : "";
    if (text === this.text) return;
    this.text = text;
    this.node.hidden = !text;
    const button = element("button", { type: "button", text: this.words.format("again"), onclick: () => this.again() });
    this.node.replaceChildren(...(text ? [text, " ", button] : []));
  }

  #sentence({ reason, detail }, missing, blanks) {
    const { words } = this;
    const what = words.format(`missing_${missing}`, blanks);
    return words.format("failed", { what, reason: words.format(`reason_${reason}`, { status: detail }) });
  }

  destroy() {
    window.removeEventListener("online", this.again);
  }
}
