// The component as a whole: takes what Python sends, keeps what is selected, and paints at most once a frame.

import { Answer, layouts } from "./answer.js";
import { ColourBar } from "./colourbar.js";
import { Controls } from "./controls.js";
import { element, setAttribute } from "./element.js";
import { onceAFrame } from "./frames.js";
import { Keys } from "./keyboard.js";
import { Narrator } from "./narrator.js";
import { aspectOf, roomFor } from "./room.js";
import { say } from "./say.js";
import { Selection } from "./selection.js";
import { Stage } from "./stage.js";
import { Supply } from "./supply.js";
import { Tiles } from "./tiles.js";
import { nameOf, sameplace, step, tokenAt, tokenNamed } from "./tokens.js";

const FIRST_BLEND = 0.55;

export class View {
  // outside: { report(selection), stale(layer) }, as they are when they are called.
  constructor(parent, key) {
    this.selection = new Selection(key, (selection) => this.outside.report(selection));
    this.keys = new Keys();
    this.blend = FIRST_BLEND;
    this.hovered = null; // name of the source under the pointer, kept when the pointer leaves
    this.target = null; // name of the target being read
    this.tile = null; // head whose map the pointer is on
    this.repaint = onceAFrame((now) => {
      this.paint();
      if (now) this.root.getBoundingClientRect(); // has the page laid out in time that is left over, and not in the frame
    });
    this.supply = new Supply({
      picture: (bitmap) => this.#changed(() => this.stage.show(bitmap)),
      layer: (weights, layer) => this.#changed(() => this.#takeLayer(weights, layer)),
      stale: (layer) => this.outside.stale(layer),
    });
    this.#build(parent);
    this.resized = new ResizeObserver(() => this.arrange());
    this.resized.observe(this.root);
  }

  #build(parent) {
    const leave = () => this.read(null);
    this.stage = new Stage({ hover: (name) => this.hoverSource(name), leave, tap: (name) => this.tap(name) });
    this.tiles = new Tiles({
      hover: (name, head) => this.read(name, head),
      leave,
      choose: (head) => this.change({ head: this.view.head === head ? "all" : head }),
    });
    const blend = (value) => this.#changed(() => (this.blend = value));
    this.controls = new Controls({ change: (part) => this.change(part), blend }, this.blend);
    this.bar = new ColourBar();
    this.narrator = new Narrator(this.stage.canvas);
    this.bench = element("div", { class: "bench" }, this.stage.node, element("div", { class: "side" }, this.tiles.node));
    this.root = element(
      "section",
      { class: "microscope", "aria-label": say("title"), "aria-busy": "true" },
      this.controls.above,
      this.narrator.node,
      this.supply.trouble,
      this.bench,
      this.bar.node,
      this.controls.below,
      element("p", { class: "help", text: say("keys") }),
      this.narrator.live,
    );
    this.root.addEventListener("keydown", (event) => this.press(event));
    // For tests: the very numbers that are painted.
    this.root.vitvizMicroscope = { values: (head) => Array.from(this.answer.of(head)), extent: (head) => this.answer.extent(head) };
    parent.append(this.root);
  }

  get view() {
    return this.selection.current;
  }

  // What Python sends, at first and whenever it changes.
  update(data, outside) {
    this.addresses = data;
    this.outside = outside;
    this.selection.take(data.asked);
    this.#changed(() => this.supply.want(data, this.view.layer));
  }

  stop() {
    this.repaint.stop();
    this.resized.disconnect();
    this.narrator.stop();
    this.supply.stop();
    this.root.remove();
  }

  #takeLayer(weights, layer) {
    this.weights = weights;
    this.layer = layer;
    this.answer = null;
    this.arrange();
  }

  // Runs `change`, then paints; `now` for what the hand asks for.
  #changed(change, now = false) {
    change();
    this.repaint(now);
  }

  change(part) {
    this.#changed(() => {
      this.target = null;
      this.selection.change(part.direction ? { ...part, token: this.#pinTowards(part.direction) } : part);
      if ("head" in part) this.arrange();
      if ("layer" in part) this.supply.want(this.addresses, this.view.layer);
    });
  }

  // The pin's name after a change of direction: queries and keys may lie on different grids.
  #pinTowards(direction) {
    if (!this.pinned || direction === this.view.direction) return this.view.token;
    const { source, target } = this.layouts;
    const there = sameplace(source, this.source(), target);
    return there < 0 ? null : nameOf(target, there);
  }

  get layouts() {
    return layouts(this.weights, this.view.direction);
  }

  get pinned() {
    return Boolean(this.weights) && tokenNamed(this.layouts.source, this.view.token) >= 0;
  }

  // The token asked about: the pinned one, else the one last hovered, else the first prefix token or the middle of the picture.
  source() {
    const { source } = this.layouts;
    for (const name of [this.view.token, this.hovered]) {
      const token = tokenNamed(source, name);
      if (token >= 0) return token;
    }
    return source.prefix.length ? 0 : middle(source);
  }

  // Over the picture: while nothing is pinned another source, else another target.
  hoverSource(name) {
    if (!this.weights) return;
    const { source, target } = this.layouts;
    if (this.pinned) {
      const token = sameplace(source, tokenNamed(source, name), target);
      this.read(token < 0 ? null : nameOf(target, token));
    } else if (name !== this.hovered || this.target !== null) {
      this.#changed(() => {
        this.hovered = name;
        this.target = this.tile = null;
      }, true);
    }
  }

  read(name, head = null) {
    const tile = name === null ? null : head;
    if (name === this.target && tile === this.tile) return;
    this.#changed(() => {
      this.target = name;
      this.tile = tile;
    }, true);
  }

  tap(name) {
    this.stage.canvas.focus({ preventScroll: true });
    if (this.view.token === name) this.release();
    else this.change({ token: name });
  }

  release() {
    this.hovered = this.view.token || this.hovered;
    if (this.view.token === null) this.read(null);
    else this.change({ token: null });
  }

  press(event) {
    if (!this.weights) return;
    const inControl = ["SELECT", "INPUT"].includes(event.target.tagName);
    const asked = this.keys.read(event, this.weights.heads, inControl);
    if (!asked) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keys of its own
    if (asked.act === "release") this.release();
    else if (asked.act === "layer") this.#stepLayer(asked.by);
    else if (asked.act === "head") this.change({ head: asked.head });
    else if (asked.act === "direction") this.change({ direction: this.view.direction === "at" ? "by" : "at" });
    else if (asked.act === "links") this.change({ links: !this.view.links });
    else if (asked.act === "move") this.#movePin(asked.step);
    else if (asked.act === "read") this.#moveReading(asked.step);
  }

  #stepLayer(by) {
    const layer = this.view.layer + by;
    if (layer >= 0 && layer < this.addresses.num_layers) this.change({ layer });
  }

  // The first arrow puts a pin where the eye already is.
  #movePin(by) {
    const { source } = this.layouts;
    const asked = this.pinned || this.hovered !== null;
    this.change({ token: nameOf(source, asked ? step(source, this.source(), ...by) : middle(source)) });
  }

  #moveReading(by) {
    const { source, target } = this.layouts;
    const from = tokenNamed(target, this.target);
    const there = from >= 0 ? step(target, from, ...by) : sameplace(source, this.source(), target);
    this.read(nameOf(target, Math.max(0, there)));
  }

  // Sizes everything to the room there is.
  arrange() {
    const width = this.root.clientWidth;
    if (!this.weights || !width) return;
    const { source, target } = this.layouts;
    const { wide, roomy, narrow, picture, beside } = roomFor(source, width, window.innerHeight);
    this.bench.classList.toggle("wide", wide);
    this.root.classList.toggle("roomy", roomy);
    this.root.classList.toggle("narrow", narrow);
    this.stage.arrange(source, ...picture);
    this.tiles.arrange(this.weights.heads, this.#shown(), beside, wide ? this.stage.node.offsetHeight : 0, aspectOf(target));
    this.bar.resize(Math.min(width, 640));
    this.repaint();
  }

  // A head that this layer does not have (another model's) is answered by the mean.
  #shown() {
    const absent = typeof this.view.head === "number" && this.view.head >= this.weights.heads;
    return absent ? { ...this.view, head: "mean" } : this.view;
  }

  paint() {
    const { weights } = this;
    const busy = !weights || this.layer !== this.view.layer;
    setAttribute(this.root, "aria-busy", busy);
    this.root.classList.toggle("busy", busy);
    this.controls.update(this.view, this.addresses.num_layers, weights);
    if (!weights) return;
    const shown = this.#shown();
    const { answer, marks } = { answer: this.#answer(shown), marks: this.#marks() };
    const head = shown.head === "all" && this.tile !== null ? this.tile : shown.head;
    this.stage.draw(answer, shown, marks);
    this.tiles.draw(answer, shown, marks);
    this.bar.draw(answer, shown, head, weights.meta.rows_sum_to_one);
    this.narrator.tell(answer, shown, marks, head, busy);
    const source = nameOf(answer.layouts.source, answer.source);
    Object.assign(this.root.dataset, { layer: this.layer, source, pinned: marks.pinned, direction: shown.direction, head: shown.head });
    this.root.dispatchEvent(new CustomEvent("painted"));
  }

  // Computed again only where the question is another one.
  #answer(view) {
    const question = [this.source(), view.direction, view.measure, view.scale, view.shared].join();
    if (!this.answer || this.question !== question) {
      this.answer = new Answer(this.weights, this.source(), view);
      this.question = question;
    }
    return this.answer;
  }

  #marks() {
    const target = tokenNamed(this.layouts.target, this.target);
    return { target: target < 0 ? null : target, pinned: this.pinned, blend: this.blend };
  }
}

function middle(layout) {
  return tokenAt(layout, Math.floor(layout.grid[0] / 2), Math.floor(layout.grid[1] / 2));
}
