// What every view is: it asks for payloads and has them together, reports what is chosen by number, says what it shows, paints at most
// once a frame, and ends all of it at once.

import { Reports } from "../core/state.js";
import { Words } from "../core/words.js";
import { Loader, sourceOf } from "../data/source.js";
import { element, oncePerFrame, setAttribute, setText, watchSize } from "./dom.js";

const SPOKEN_MS = 400; // after the last change, so that a held key is spoken once
const LABELLED_MS = 120; // after the last movement

// A view of its own has `update(data)` for what Python sends, `onLoaded(request, payloads)` for what has arrived, and `draw(now)`.
export class View {
  constructor(host) {
    this.host = host;
    this.words = new Words(host.words);
    this.given = null; // what Python sent last
    this.shown = null; // what is on the screen, all of one request; null before and after failures
    this.width = this.windowHeight = 0; // CSS pixels there are
    this.controller = new AbortController();
    this.loader = new Loader(sourceOf(host), {
      arrived: (request, payloads) => this.onLoaded(request, payloads),
      changed: () => this.showStatus(),
      stale: () => host.stale(),
    });
    this.reports = new Reports((value, number) => host.report(value, number));
    this.status = new Status(this.words, () => this.loader.retry());
    this.announcer = new Announcer();
    this.redraw = oncePerFrame((now) => this.draw(now));
  }

  // Puts it on the page. watched: the node whose width it has.
  show(parent, root, watched = root) {
    this.root = root;
    parent.append(root);
    this.onDestroy(watchSize(watched, (size) => this.resize(size)));
  }

  // Calls `stop` when the view goes.
  onDestroy(stop) {
    this.controller.signal.addEventListener("abort", () => stop());
  }

  resize({ width, windowHeight, spare }) {
    Object.assign(this, { width, windowHeight: windowHeight + spare });
    this.redraw();
  }

  // The loader has another state.
  showStatus() {
    if (this.loader.state === "failed") this.shown = null;
    this.status.show(this.root, this.loader);
    this.redraw();
  }

  // What stands where a reading will: that it is loading; where that failed, the status says so, and the line is empty.
  get placeholder() {
    return this.loader.state === "failed" ? "\u00a0" : this.words.format("loading");
  }

  destroy() {
    this.controller.abort();
    this.loader.stop();
    this.redraw.stop();
    this.reports.drop();
    this.status.destroy();
    this.announcer.destroy();
    this.root.remove();
  }
}

// What a reader of the screen is told: the last thing in a live region, when nothing more has come, and what canvases show.
export class Announcer {
  constructor() {
    this.node = element("p", { class: "unseen", "aria-live": "polite" });
    this.labels = new Map(); // canvas -> its text alternative, until that is written
  }

  announce(text) {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => setText(this.node, text), SPOKEN_MS);
  }

  // The text alternative of a canvas. One that changed with every movement of the pointer would be read out each time where the
  // canvas has the focus, so only the first is written at once.
  label(canvas, text) {
    if (!canvas.hasAttribute("aria-label")) return setAttribute(canvas, "aria-label", text);
    this.labels.set(canvas, text);
    clearTimeout(this.labelling);
    this.labelling = setTimeout(() => {
      for (const [each, shown] of this.labels) setAttribute(each, "aria-label", shown);
      this.labels.clear();
    }, LABELLED_MS);
  }

  destroy() {
    clearTimeout(this.speaking);
    clearTimeout(this.labelling);
  }
}

// That something is loading, or what could not be fetched and how to ask once more.
export class Status {
  // retry(): tries once more; done by itself, too, when the network is back.
  constructor(words, retry) {
    Object.assign(this, { words, retry });
    this.text = "";
    this.node = element("p", { class: "failure", role: "alert", hidden: true });
    window.addEventListener("online", retry);
  }

  // loader: a Loader. blanks: for the name of what is missing.
  show(root, { state, error, missing }, blanks = {}) {
    setAttribute(root, "aria-busy", state === "loading");
    setAttribute(root, "data-state", state);
    const text = error ? this.#sentence(error, missing, blanks) : "";
    if (text === this.text) return;
    this.text = text;
    this.node.hidden = !text;
    const button = element("button", { type: "button", text: this.words.format("again"), onclick: () => this.retry() });
    this.node.replaceChildren(...(text ? [text, " ", button] : []));
  }

  #sentence({ reason, detail }, missing, blanks) {
    const { words } = this;
    const key = `missing_${missing}`;
    const what = words.format(key in words.sentences ? key : "missing_part", blanks); // of what has a name of its own
    return words.format("failed", { what, reason: words.format(`reason_${reason}`, { status: detail }) });
  }

  destroy() {
    window.removeEventListener("online", this.retry);
  }
}
