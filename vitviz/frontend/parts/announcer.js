// What a view says of itself: the question and the answer in words, the live region, and what could not be fetched.

import { element, setAttribute, setText } from "./dom.js";

const REST_MS = 400; // after the last change, so that a held key is spoken once

// A live region: says the last thing, when nothing more has come.
export class Announcer {
  constructor() {
    this.node = element("p", { class: "unseen", "aria-live": "polite" });
  }

  say(text) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.node, text), REST_MS);
  }

  destroy() {
    clearTimeout(this.timer);
  }
}

// The words of the microscope: question, answer, text alternative of its picture.
export class Narrator {
  // canvas: the picture that the text alternative is for.
  constructor(canvas, words) {
    this.canvas = canvas;
    this.words = words;
    this.asked = element("p", { class: "asked" });
    this.state = element("p", { class: "state" });
    this.reading = element("p", { class: "reading" });
    this.announcer = new Announcer();
    this.live = this.announcer.node;
    this.node = element("div", { class: "words" }, element("div", { class: "headline" }, this.asked, this.state), this.reading);
  }

  // While another question is on its way, nothing is said of the last one.
  wait(text) {
    setText(this.state, text);
    setText(this.reading, "");
    setAttribute(this.canvas, "aria-label", text);
    this.waited = true;
    this.#announce(text);
  }

  // marks: { target, pinned }. head: whose numbers are read out. loud: whether they are spoken.
  tell(answer, view, { target, pinned }, head, loud) {
    const { words } = this;
    const source = words.token(answer.layouts.source, answer.source);
    const said = view.head === head ? view : { ...view, head };
    setText(this.asked, words.say("asked", { source, verb: words.verb(view.direction) }));
    setText(this.state, words.say(pinned ? "state_pinned" : "state_free"));
    setText(this.reading, target === null ? words.strongest(answer, head) : words.value(answer, head, target));
    const label = words.alternative(answer, said, pinned);
    setAttribute(this.canvas, "aria-label", label);
    if (loud || this.waited) this.#announce(target === null ? label : this.reading.textContent);
    this.waited = false; // what was waited for is spoken, too
  }

  #announce(text) {
    if (text !== this.spoken) this.announcer.say(text);
    this.spoken = text;
  }

  destroy() {
    this.announcer.destroy();
  }
}

// That something is on its way, or what could not be fetched and how to ask once more.
export class Status {
  // again(): tries once more; done by itself, too, when the network is back.
  constructor(words, again) {
    Object.assign(this, { words, again });
    this.text = "";
    this.node = element("p", { class: "trouble", role: "alert", hidden: true });
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
    const button = element("button", { type: "button", text: this.words.say("again"), onclick: () => this.again() });
    this.node.replaceChildren(...(text ? [text, " ", button] : []));
  }

  #sentence({ reason, detail }, missing, blanks) {
    const { words } = this;
    const what = words.say(`missing_${missing}`, blanks);
    return words.say("failed", { what, reason: words.say(`reason_${reason}`, { status: detail }) });
  }

  destroy() {
    window.removeEventListener("online", this.again);
  }
}
