// Base class of the views that Python updates: it loads payloads, reports choices with their numbers, announces what is shown to
// screen readers, paints at most once per frame, and stops all of this in `destroy`.

import { Reports } from "../core/state.js";
import { Words } from "../core/words.js";
import { Loader, sourceOf } from "../data/source.js";
import { element, oncePerFrame, setAttribute, setText, watchSize } from "./dom.js";

const SPOKEN_MS = 400; // delay after the last change, so that a key that is held down causes one announcement
const LABELLED_MS = 120; // delay after the last movement of the pointer

// Subclasses implement `update(data)` for data from Python, `onLoaded(request, payloads)` for loaded payloads, and `draw(now)`.
export class View {
  constructor(host) {
    this.host = host;
    this.words = new Words(host.words);
    this.given = null; // the last data from Python
    this.shown = null; // what is on the screen, all of one request; null before the first payloads and after failures
    this.width = this.windowHeight = 0; // available CSS pixels
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

  // Appends the view's root to `parent`. watched: the node whose width is observed.
  show(parent, root, watched = root) {
    this.root = root;
    parent.append(root);
    this.onDestroy(watchSize(watched, (size) => this.resize(size)));
  }

  // Calls `stop` when the view is destroyed.
  onDestroy(stop) {
    this.controller.signal.addEventListener("abort", () => stop());
  }

  resize({ width, windowHeight, spare }) {
    Object.assign(this, { width, windowHeight: windowHeight + spare });
    this.redraw();
  }

  // Shows the new state of the loader.
  showStatus() {
    if (this.loader.state === "failed") this.shown = null;
    this.status.show(this.root, this.loader);
    this.redraw();
  }

  // The text in place of a readout: "loading", or an empty line after a failure, which the status reports.
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

// Texts for screen readers: a live region, which is updated after a pause in the changes, and the labels of canvases.
export class Announcer {
  constructor() {
    this.node = element("p", { class: "unseen", "aria-live": "polite" });
    this.labels = new Map(); // canvas -> its new text alternative, until it is written
  }

  announce(text) {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => setText(this.node, text), SPOKEN_MS);
  }

  // Sets the text alternative of a canvas. The first is written at once, later ones after a pause: if the canvas has the focus, a
  // screen reader would otherwise read one for every movement of the pointer.
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

// The loading state, and the message and button after a failed request.
export class Status {
  // retry(): repeats the request; also called when the browser is online again.
  constructor(words, retry) {
    Object.assign(this, { words, retry });
    this.text = "";
    this.node = element("p", { class: "failure", role: "alert", hidden: true });
    window.addEventListener("online", retry);
  }

  // loader: a Loader. blanks: for the sentence that names the missing payload.
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
    const what = words.format(key in words.sentences ? key : "missing_part", blanks); // only some payloads have a name of their own
    return words.format("failed", { what, reason: words.format(`reason_${reason}`, { status: detail }) });
  }

  destroy() {
    window.removeEventListener("online", this.retry);
  }
}
