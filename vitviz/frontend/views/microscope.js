// The microscope as a whole: takes what Python sends, keeps what is selected, and paints at most once a frame.

import { Answer, layouts, LayerWeights } from "../core/weights.js";
import { arrangementFor, aspectOf, middleOf, nameOf, sameplace, step, tokenAt, tokenNamed } from "../core/layout.js";
import { MicroscopeState } from "../core/state.js";
import { Controls } from "../parts/controls.js";
import { element } from "../parts/dom.js";
import { flushOnLeaving, Keys } from "../parts/input.js";
import { View } from "../parts/view.js";
import { ColourBar } from "../render/heat.js";
import { MicroscopePicture, Narrator, Tiles } from "./microscope_maps.js";

const FIRST_BLEND = 0.55;
const PREFETCHED_BYTES = 24 * 2 ** 20; // of the shown layer: neighbours of a larger one are fetched when they are chosen
const NEIGHBOURS_AFTER_MS = 50;
const LAYER_MS = 900; // a layer's time while playing
const SQUARE = { grid: [1, 1], patch_size: [1, 1] }; // before a grid is known
const BELOW = 40; // CSS pixels of words and controls, which the presenter's view leaves out
const ABOVE_PICTURE = 37; // CSS pixels of the tokens that are no patches

export const mount = (node, host) => new Microscope(node, host);

class Microscope extends View {
  constructor(parent, host) {
    super(host);
    this.state = new MicroscopeState(this.reports);
    this.keys = new Keys();
    this.blend = host.memory.blend ?? FIRST_BLEND;
    this.pictureHeight = 0; // CSS pixels of the picture with its chips
    this.loud = false; // whether what is painted next is spoken: not where a pointer only passes by
    this.hovered = null; // name of the source under the pointer, kept when the pointer leaves
    this.target = null; // name of the target being read
    this.playing = 0; // timer of the next layer while the layers are played
    this.tile = null; // head whose map the pointer is on
    this.question = null; // the loader's question that is on the screen, with `weights`; null before and after failures
    this.weights = null;
    this.answer = null; // of `weights` to what `answered` names
    this.answered = null;
    this.show(parent, this.#build());
    const heights = new ResizeObserver(([entry]) => {
      this.pictureHeight = Math.round(entry.contentRect.height);
      this.arrange();
    });
    heights.observe(this.picture.node);
    this.until(() => heights.disconnect());
    this.until(flushOnLeaving(this.root, this.reports));
  }

  #build() {
    const { words, host } = this;
    const leave = () => this.read(null);
    this.picture = new MicroscopePicture(words, {
      hover: (name) => this.hoverSource(name),
      leave,
      tap: (name) => {
        this.picture.canvas.focus({ preventScroll: true });
        this.choose(name);
      },
      choose: (name) => this.choose(name),
      moved: () => this.redraw(),
    });
    this.tiles = new Tiles(words, {
      hover: (name, head) => this.read(name, head),
      leave,
      choose: (head) => this.change({ head: this.view.head === head ? "all" : head }),
    });
    const blend = (value) => this.#changed(() => (this.blend = host.memory.blend = value));
    const play = () => this.play(!this.playing);
    this.controls = new Controls(words, { change: (part) => this.change(part), blend, play }, this.blend, host.memory);
    this.bar = new ColourBar(words);
    this.narrator = new Narrator(this.picture.canvas, words, this.announcer, () => this.picture.bitmap ?? null);
    this.bench = element("div", { class: "bench waiting" }, this.picture.node, element("div", { class: "side" }, this.tiles.node));
    const root = element(
      "section",
      { class: "microscope", "aria-label": words.format("title"), "aria-busy": "true" },
      this.bench,
      this.bar.node,
      this.narrator.node,
      this.status.node,
      this.controls.above,
      this.controls.below,
      this.announcer.node,
    );
    root.addEventListener("keydown", (event) => this.press(event));
    // For tests: the very numbers that are painted.
    const answer = () => this.#answer(this.#shown());
    root.vitvizMicroscope = { values: (head) => Array.from(answer().of(head)), extent: (head) => answer().extent(head) };
    return root;
  }

  get view() {
    return this.state.current;
  }

  // What Python sends, at first and whenever it changes.
  update(data) {
    this.given = data;
    this.state.take(data.received, data.asked.selection);
    this.#ask();
    this.redraw();
  }

  destroy() {
    clearTimeout(this.soon);
    clearTimeout(this.playing);
    this.neighbours?.abort();
    super.destroy();
  }

  resize({ width, windowHeight, spare }) {
    Object.assign(this, { width, windowHeight: windowHeight + (spare && spare + BELOW) });
    this.arrange();
  }

  // The photograph, the model and its size are distinguished by the picture's address, the layer by its own.
  #ask() {
    const { layer } = this.view;
    this.loader.ask({ urls: { picture: this.given.picture, layer: this.given.layers[layer] }, layer });
  }

  // Picture and weights change together.
  take(question, { picture, layer }) {
    const { urls } = question;
    if (this.question?.urls.picture !== urls.picture) this.picture.show(picture.picture);
    if (this.question?.urls.layer !== urls.layer) {
      this.weights = new LayerWeights(layer);
      this.answer = null;
    }
    this.question = question;
    this.arrange();
    this.#prefetchSoon();
  }

  turn() {
    if (this.loader.state === "failed") {
      this.question = this.weights = this.answer = null;
      this.picture.clear();
      this.tiles.clear();
    }
    this.status.show(this.root, this.loader, { layer: this.view.layer });
    this.redraw();
  }

  // The neighbours, once the layer is painted: the next press of [ or ] then costs nothing.
  #prefetchSoon() {
    clearTimeout(this.soon);
    if (this.weights.bytes > PREFETCHED_BYTES) return this.neighbours?.abort();
    this.soon = setTimeout(() => {
      const before = this.neighbours;
      this.neighbours = new AbortController();
      for (const by of [1, -1]) {
        const url = this.given.layers[this.view.layer + by];
        if (url) this.loader.source.load(url, this.neighbours.signal).catch(() => {});
      }
      before?.abort();
    }, NEIGHBOURS_AFTER_MS);
  }

  // Runs `change`, then paints; `now` for a movement of the pointer, at once.
  #changed(change, now = false) {
    change();
    this.redraw(now);
  }

  // Goes through the layers, one after the other, each shown before the next is asked for; from the first where the last is shown.
  play(on) {
    clearTimeout(this.playing);
    this.playing = 0;
    if (on) {
      if (this.view.layer >= this.given.num_layers - 1) this.change({ layer: 0 });
      this.#playOn();
    }
    this.redraw();
  }

  #playOn() {
    const next = () => {
      if (this.loader.state !== "shown") return this.#playOn(); // its numbers are on their way
      const layer = this.view.layer + 1;
      if (layer >= this.given.num_layers) return this.play(false);
      this.change({ layer });
      this.#playOn();
    };
    this.playing = setTimeout(next, LAYER_MS);
  }

  change(part) {
    this.#changed(() => {
      this.loud = true;
      this.target = null;
      this.state.change(part.direction ? { ...part, token: this.#pinTowards(part.direction) } : part);
      if ("head" in part) this.arrange();
      if ("layer" in part) this.#ask();
    });
  }

  // The pin's name after a change of direction: queries and keys may lie on different grids.
  #pinTowards(direction) {
    if (!this.pinned || direction === this.view.direction) return this.view.token;
    const { source, target } = this.layouts;
    const there = sameplace(source, this.asked(), target);
    return there < 0 ? null : nameOf(target, there);
  }

  get layouts() {
    return layouts(this.weights, this.view.direction);
  }

  get pinned() {
    return Boolean(this.weights) && tokenNamed(this.layouts.source, this.view.token) >= 0;
  }

  // The token asked about: the pinned one, else the one last hovered, else the first prefix token or the middle of the picture.
  asked() {
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
        this.loud = false;
      }, true);
    }
  }

  read(name, head = null, loud = false) {
    const tile = name === null ? null : head;
    if (name === this.target && tile === this.tile) return;
    this.#changed(() => {
      this.target = name;
      this.tile = tile;
      this.loud = loud;
    }, true);
  }

  // Whether the tokens on the screen are those of the photograph and the model that Python has by now.
  get current() {
    return this.question !== null && this.question.urls.picture === this.given.picture;
  }

  choose(name) {
    if (!this.current) return;
    if (this.view.token === name) this.release();
    else this.change({ token: name });
  }

  release() {
    this.hovered = this.view.token || this.hovered;
    if (this.view.token === null) this.read(null);
    else this.change({ token: null });
  }

  press(event) {
    const inControl = ["SELECT", "INPUT"].includes(event.target.tagName);
    const asked = this.keys.read(event, this.weights?.heads ?? 0, inControl);
    if (!asked || (!this.current && asked.act !== "layer")) return;
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
    if (layer >= 0 && layer < this.given.num_layers) this.change({ layer });
  }

  // The first arrow key pins the token that is shown already, and later ones move the pin.
  #movePin(by) {
    const { source } = this.layouts;
    const asked = this.pinned || this.hovered !== null;
    this.change({ token: nameOf(source, asked ? step(source, this.asked(), ...by) : middle(source)) });
  }

  #moveReading(by) {
    const { source, target } = this.layouts;
    const from = tokenNamed(target, this.target);
    const there = from >= 0 ? step(target, from, ...by) : sameplace(source, this.asked(), target);
    this.read(nameOf(target, Math.max(0, there)), null, true);
  }

  // Sizes everything to the space there is.
  arrange() {
    const { width } = this;
    if (!width) return;
    // A place of the right size from the first moment: nothing moves when the numbers arrive.
    this.bench.classList.toggle("waiting", !this.weights);
    const source = this.weights ? this.layouts.source : SQUARE;
    const { wide, roomy, narrow, picture, beside } = arrangementFor(source, width, this.windowHeight);
    const high = picture[1] + ABOVE_PICTURE;
    this.bench.style.minHeight = this.weights ? "" : `${high}px`;
    this.bench.classList.toggle("wide", wide);
    this.root.classList.toggle("roomy", roomy);
    this.root.classList.toggle("narrow", narrow);
    if (!this.weights) return;
    const { target } = this.layouts;
    this.picture.arrange(source, ...picture);
    const beforehand = this.pictureHeight < picture[1] ? high : this.pictureHeight; // what is observed comes a frame late
    this.tiles.arrange(this.weights.heads, this.#shown(), beside, wide ? beforehand : 0, aspectOf(target));
    this.bar.resize(picture[0]);
    this.bar.node.style.setProperty("--bar", `${picture[0]}px`);
    this.redraw();
  }

  // A head that this layer does not have (another model's) is answered by the mean.
  #shown() {
    const absent = typeof this.view.head === "number" && this.view.head >= this.weights.heads;
    return absent ? { ...this.view, head: "mean" } : this.view;
  }

  draw(now) {
    this.#paint();
    if (now) this.root.getBoundingClientRect(); // has the page laid out in time that is left over, and not in the frame
  }

  #paint() {
    const { weights } = this;
    const { state } = this.loader;
    this.root.classList.toggle("busy", state !== "shown");
    this.controls.update(this.view, this.given.num_layers, weights, Boolean(this.playing));
    if (state !== "shown") {
      delete this.root.dataset.source;
      this.narrator.wait(state === "failed" ? this.status.text : this.words.format("loading", { layer: this.view.layer }));
    }
    if (!weights) return;
    const shown = this.#shown();
    const { answer, marks } = { answer: this.#answer(shown), marks: this.#marks() };
    const head = shown.head === "all" && this.tile !== null ? this.tile : shown.head;
    this.picture.draw(answer, shown, marks);
    this.tiles.draw(answer, shown, marks);
    this.bar.draw(answer, shown, head, weights.meta.rows_sum_to_one);
    if (state !== "shown") return;
    this.narrator.describe(answer, shown, marks, head, this.loud);
    this.loud = false;
    const source = nameOf(answer.layouts.source, answer.source);
    const { layer } = this.question;
    Object.assign(this.root.dataset, { layer, source, pinned: marks.pinned, direction: shown.direction, head: shown.head });
    this.root.dispatchEvent(new CustomEvent("painted"));
  }

  // Computed again only where the question is another one.
  #answer(view) {
    const asked = [this.asked(), view.direction, view.measure, view.scale, view.shared].join();
    if (!this.answer || this.answered !== asked) {
      this.answer = new Answer(this.weights, this.asked(), view);
      this.answered = asked;
    }
    return this.answer;
  }

  #marks() {
    const target = tokenNamed(this.layouts.target, this.target);
    return { target: target < 0 ? null : target, pinned: this.pinned, blend: this.blend, accent: this.host.theme().accent };
  }
}

function middle(layout) {
  return tokenAt(layout, ...middleOf(layout.grid));
}
