// The microscope: the photograph with the attention map of a selected token, and small maps of all heads. This view holds the
// selection, loads layers, handles events and arranges the parts.

import { AttentionMaps, layouts, LayerWeights } from "../core/weights.js";
import { arrangementFor, aspectOf, middleOf, nameOf, tokenAtSamePlace, step, tokenAt, tokenNamed } from "../core/layout.js";
import { MicroscopeState } from "../core/state.js";
import { Controls } from "../parts/controls.js";
import { element } from "../parts/dom.js";
import { flushOnLeaving, Keys } from "../parts/input.js";
import { View } from "../parts/view.js";
import { ColourBar } from "../render/heat.js";
import { MicroscopePicture, Readout, Tiles } from "./microscope_maps.js";

const FIRST_BLEND = 0.55;
const PREFETCHED_BYTES = 24 * 2 ** 20; // of the shown layer; neighbours of larger layers are not prefetched
const NEIGHBOURS_AFTER_MS = 50;
const LAYER_MS = 900; // time per layer during playback
const SQUARE = { grid: [1, 1], patch_size: [1, 1] }; // placeholder until a grid is known
const BELOW = 40; // CSS pixels of texts and controls, which the presenter's view hides
const ABOVE_PICTURE = 37; // CSS pixels of the chips of prefix tokens

export const mount = (node, host) => new Microscope(node, host);

class Microscope extends View {
  constructor(parent, host) {
    super(host);
    this.state = new MicroscopeState(this.reports);
    this.keys = new Keys();
    this.blend = host.memory.blend ?? FIRST_BLEND;
    this.pictureHeight = 0; // CSS pixels of the picture and its chips
    this.aloud = false; // whether the next painting is announced; not if the pointer only moves
    this.hovered = null; // name of the source under the pointer, kept after the pointer has left
    this.target = null; // name of the target whose value is shown
    this.playing = 0; // timer of the next layer during playback
    this.tile = null; // head of the map under the pointer
    this.request = null; // the request on the screen, with `weights`; null before the first and after failures
    this.weights = null;
    this.maps = null; // AttentionMaps of `weights`, for the selection in `mapsKey`
    this.mapsKey = null;
    this.show(parent, this.#build());
    const heights = new ResizeObserver(([entry]) => {
      this.pictureHeight = Math.round(entry.contentRect.height);
      this.arrange();
    });
    heights.observe(this.picture.node);
    this.onDestroy(() => heights.disconnect());
    this.onDestroy(flushOnLeaving(this.root, this.reports));
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
    this.readout = new Readout(this.picture.canvas, words, this.announcer, () => this.picture.bitmap ?? null);
    this.panes = element("div", { class: "panes waiting" }, this.picture.node, element("div", { class: "side" }, this.tiles.node));
    const root = element(
      "section",
      { class: "microscope", "aria-label": words.format("title"), "aria-busy": "true" },
      this.panes,
      this.bar.node,
      this.readout.node,
      this.status.node,
      this.controls.above,
      this.controls.below,
      this.announcer.node,
    );
    root.addEventListener("keydown", (event) => this.press(event));
    // For tests: the numbers that are painted.
    const maps = () => this.#mapsFor(this.#shown());
    root.vitvizMicroscope = { values: (head) => Array.from(maps().of(head)), extent: (head) => maps().extent(head) };
    return root;
  }

  get view() {
    return this.state.current;
  }

  // Data from Python, at first and after every change.
  update(data) {
    this.given = data;
    this.state.accept(data.received, data.view);
    this.#load();
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

  // The picture's URL identifies photograph, model and input size; the layer has a URL of its own.
  #load() {
    const { layer } = this.view;
    this.loader.load({ urls: { picture: this.given.picture, layer: this.given.layers[layer] }, layer });
  }

  // Picture and weights of a request change together.
  onLoaded(request, { picture, layer }) {
    const { urls } = request;
    if (this.request?.urls.picture !== urls.picture) this.picture.show(picture.picture);
    if (this.request?.urls.layer !== urls.layer) {
      this.weights = new LayerWeights(layer);
      this.maps = null;
    }
    this.request = request;
    this.arrange();
    this.#prefetchSoon();
  }

  showStatus() {
    if (this.loader.state === "failed") {
      this.request = this.weights = this.maps = null;
      this.picture.clear();
      this.tiles.clear();
    }
    this.status.show(this.root, this.loader, { layer: this.view.layer });
    this.redraw();
  }

  // Prefetches the neighbouring layers after the layer is painted, so that the keys [ and ] need not wait.
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

  // Applies `change` and paints. now: paints at once, for movements of the pointer.
  #changed(change, now = false) {
    change();
    this.redraw(now);
  }

  // Plays through the layers, each of which is shown before the next is requested. If the last layer is
  // shown, it starts at the first.
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
      if (this.loader.state !== "shown") return this.#playOn(); // the layer is still loading
      const layer = this.view.layer + 1;
      if (layer >= this.given.num_layers) return this.play(false);
      this.change({ layer });
      this.#playOn();
    };
    this.playing = setTimeout(next, LAYER_MS);
  }

  change(part) {
    this.#changed(() => {
      this.aloud = true;
      this.target = null;
      this.state.change(part.direction ? { ...part, token: this.#pinTowards(part.direction) } : part);
      if ("head" in part) this.arrange();
      if ("layer" in part) this.#load();
    });
  }

  // -> the pinned token's name for the other direction, in which it may lie on another grid
  #pinTowards(direction) {
    if (!this.pinned || direction === this.view.direction) return this.view.token;
    const { source, target } = this.layouts;
    const there = tokenAtSamePlace(source, this.sourceToken(), target);
    return there < 0 ? null : nameOf(target, there);
  }

  get layouts() {
    return layouts(this.weights, this.view.direction);
  }

  get pinned() {
    return Boolean(this.weights) && tokenNamed(this.layouts.source, this.view.token) >= 0;
  }

  // -> the token whose maps are shown: the pinned one, else the last one under the pointer, else the first prefix token or
  // the middle of the picture
  sourceToken() {
    const { source } = this.layouts;
    for (const name of [this.view.token, this.hovered]) {
      const token = tokenNamed(source, name);
      if (token >= 0) return token;
    }
    return source.prefix.length ? 0 : middle(source);
  }

  // The pointer over the picture selects the source, or, if a source is pinned, the target.
  hoverSource(name) {
    if (!this.weights) return;
    const { source, target } = this.layouts;
    if (this.pinned) {
      const token = tokenAtSamePlace(source, tokenNamed(source, name), target);
      this.read(token < 0 ? null : nameOf(target, token));
    } else if (name !== this.hovered || this.target !== null) {
      this.#changed(() => {
        this.hovered = name;
        this.target = this.tile = null;
        this.aloud = false;
      }, true);
    }
  }

  read(name, head = null, aloud = false) {
    const tile = name === null ? null : head;
    if (name === this.target && tile === this.tile) return;
    this.#changed(() => {
      this.target = name;
      this.tile = tile;
      this.aloud = aloud;
    }, true);
  }

  // -> whether the shown tokens are those of Python's current photograph and model
  get current() {
    return this.request !== null && this.request.urls.picture === this.given.picture;
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
    const command = this.keys.read(event, this.weights?.heads ?? 0, inControl);
    if (!command || (!this.current && command.act !== "layer")) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keyboard shortcuts of its own
    if (command.act === "release") this.release();
    else if (command.act === "layer") this.#stepLayer(command.by);
    else if (command.act === "head") this.change({ head: command.head });
    else if (command.act === "direction") this.change({ direction: this.view.direction === "at" ? "by" : "at" });
    else if (command.act === "links") this.change({ links: !this.view.links });
    else if (command.act === "move") this.#movePin(command.step);
    else if (command.act === "read") this.#moveReading(command.step);
  }

  #stepLayer(by) {
    const layer = this.view.layer + by;
    if (layer >= 0 && layer < this.given.num_layers) this.change({ layer });
  }

  // The first arrow key pins the token that is already shown, later ones move it.
  #movePin(by) {
    const { source } = this.layouts;
    const known = this.pinned || this.hovered !== null;
    this.change({ token: nameOf(source, known ? step(source, this.sourceToken(), ...by) : middle(source)) });
  }

  #moveReading(by) {
    const { source, target } = this.layouts;
    const from = tokenNamed(target, this.target);
    const there = from >= 0 ? step(target, from, ...by) : tokenAtSamePlace(source, this.sourceToken(), target);
    this.read(nameOf(target, Math.max(0, there)), null, true);
  }

  // Arranges everything for the available size.
  arrange() {
    const { width } = this;
    if (!width) return;
    // Space of the right size is reserved from the start, so that nothing moves when the data arrive.
    this.panes.classList.toggle("waiting", !this.weights);
    const source = this.weights ? this.layouts.source : SQUARE;
    const { wide, roomy, narrow, picture, beside } = arrangementFor(source, width, this.windowHeight);
    const high = picture[1] + ABOVE_PICTURE;
    this.panes.style.minHeight = this.weights ? "" : `${high}px`;
    this.panes.classList.toggle("wide", wide);
    this.root.classList.toggle("roomy", roomy);
    this.root.classList.toggle("narrow", narrow);
    if (!this.weights) return;
    const { target } = this.layouts;
    this.picture.arrange(source, ...picture);
    const beforehand = this.pictureHeight < picture[1] ? high : this.pictureHeight; // a resize observer reports one frame later
    this.tiles.arrange(this.weights.heads, this.#shown(), beside, wide ? beforehand : 0, aspectOf(target));
    this.bar.resize(picture[0]);
    this.bar.node.style.setProperty("--bar", `${picture[0]}px`);
    this.redraw();
  }

  // -> the view; a head that this layer does not have (after a change of model) is replaced by the mean
  #shown() {
    const absent = typeof this.view.head === "number" && this.view.head >= this.weights.heads;
    return absent ? { ...this.view, head: "mean" } : this.view;
  }

  draw(now) {
    this.#paint();
    if (now) this.root.getBoundingClientRect(); // forces the layout now, in idle time, and not during the frame
  }

  #paint() {
    const { weights } = this;
    const { state } = this.loader;
    this.root.classList.toggle("busy", state !== "shown");
    this.controls.update(this.view, this.given.num_layers, weights, Boolean(this.playing));
    if (state !== "shown") {
      delete this.root.dataset.source;
      this.readout.wait(state === "failed" ? this.status.text : this.words.format("loading", { layer: this.view.layer }));
    }
    if (!weights) return;
    const shown = this.#shown();
    const { maps, marks } = { maps: this.#mapsFor(shown), marks: this.#marks() };
    const head = shown.head === "all" && this.tile !== null ? this.tile : shown.head;
    this.picture.draw(maps, shown, marks);
    this.tiles.draw(maps, shown, marks);
    this.bar.draw(maps, shown, head, weights.meta.rows_sum_to_one);
    if (state !== "shown") return;
    this.readout.describe(maps, shown, marks, head, this.aloud);
    this.aloud = false;
    const source = nameOf(maps.layouts.source, maps.source);
    const { layer } = this.request;
    Object.assign(this.root.dataset, { layer, source, pinned: marks.pinned, direction: shown.direction, head: shown.head });
    this.root.dispatchEvent(new CustomEvent("painted"));
  }

  // Computes the maps only if the selection has changed.
  #mapsFor(view) {
    const key = [this.sourceToken(), view.direction, view.measure, view.scale, view.shared].join();
    if (!this.maps || this.mapsKey !== key) {
      this.maps = new AttentionMaps(this.weights, this.sourceToken(), view);
      this.mapsKey = key;
    }
    return this.maps;
  }

  #marks() {
    const target = tokenNamed(this.layouts.target, this.target);
    return { target: target < 0 ? null : target, pinned: this.pinned, blend: this.blend, accent: this.host.theme().accent };
  }
}

function middle(layout) {
  return tokenAt(layout, ...middleOf(layout.grid));
}
