// Parts of the microscope: the photograph with its map, grid and chips of prefix tokens; a small map for each head and for the
// mean; and the readout, with thumbnails of query and keys.

import { cellOf, nameOf, tokenAt } from "../core/layout.js";
import { colourOf, inkOn, number, strongest } from "../core/scale.js";
import { Chips } from "../parts/controls.js";
import { element, setAttribute, setText } from "../parts/dom.js";
import { cellUnder, watchPointer } from "../parts/input.js";
import { boxOf, clearCanvas, drawFrame, drawGrid, drawLink, Marks, sizeCanvas, unitOf } from "../render/canvas.js";
import { MapPainter } from "../render/heat.js";

const LINKS = 8;
const GAP = 8;
const CAPTION = 20;
const WORDY = 124; // CSS pixels of a map's width from which its whole caption fits
const SMALLEST = 44; // of the smallest map, in which 16 x 16 patches are distinguishable
const NAMED = 90; // from which the head's name fits
const SHOWN = 3; // number of targets with thumbnails
const THUMBNAIL = 28; // CSS pixels

// The photograph with the map of the selected token, marks, links and chips.
export class MicroscopePicture {
  // hover(name), leave(), tap(name): pointer events on a token of the source's layout. choose(name): its chip is pressed. moved():
  // the layout of the chips has changed, and with it the ends of links.
  constructor(words, { hover, leave, tap, choose, moved }) {
    this.words = words;
    this.layout = null;
    this.chips = new Chips(words.format("prefix_tokens"), { choose, hover, leave, moved });
    this.canvas = element("canvas", { class: "picture", tabindex: "0", role: "application" });
    this.node = element("div", { class: "main-map" }, this.chips.node, this.canvas);
    this.painter = new MapPainter();
    this.backdrop = element("canvas"); // the photograph, scaled to the size of the canvas
    this.base = element("canvas"); // the picture below the marks, kept until it changes
    this.painted = []; // describes what `base` shows
    this.marks = new Marks(this.canvas, (context) => context.drawImage(this.base, 0, 0));
    watchPointer(this.canvas, {
      hover: (event) => this.#withCell(event, hover),
      tap: (event) => this.#withCell(event, tap),
      leave,
    });
  }

  #withCell(event, handler) {
    const cell = this.layout && cellUnder(event, this.canvas, this.layout.grid);
    if (cell) handler(nameOf(this.layout, tokenAt(this.layout, ...cell)));
  }

  show(bitmap) {
    this.bitmap = bitmap;
    this.#drawBackdrop();
  }

  arrange(layout, width, height) {
    this.width = width;
    this.node.style.width = `${width}px`;
    this.#arrangeChips(layout);
    if (sizeCanvas(this.canvas, width, height)) this.#drawBackdrop();
  }

  // Scales the photograph once. Doing so in every frame would take longer than drawing all maps.
  #drawBackdrop() {
    const { width, height } = this.canvas;
    for (const canvas of [this.backdrop, this.base]) [canvas.width, canvas.height] = [width, height];
    this.painted = [];
    const context = this.backdrop.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (this.bitmap) context.drawImage(this.bitmap, 0, 0, width, height);
  }

  // Clears the canvas when there are no data.
  clear() {
    this.show(null);
    clearCanvas(this.canvas);
  }

  // marks: { target, pinned, blend, accent }
  draw(maps, view, marks) {
    this.#arrangeChips(maps.layouts.source);
    this.#paintChips(maps, view, marks);
    const { source, target } = maps.layouts;
    const wanted = [maps, view.head, view.links, view.direction, marks.blend, this.chips.moved];
    const all = wanted.some((part, i) => part !== this.painted[i]);
    if (all) this.#drawBase(maps, view, marks);
    this.painted = wanted;
    const unit = unitOf(this.canvas);
    const size = { width: this.canvas.width / unit, height: this.canvas.height / unit };
    const shown = new Map();
    const asked = cellOf(source, maps.source);
    if (asked) {
      const [box, colour] = [boxOf(source.grid, asked, size), marks.pinned ? marks.accent : "#ffffff"];
      shown.set(`asked ${asked} ${colour}`, { box, draw: (context) => drawFrame(context, box, colour, 2.5) });
    }
    const read = marks.target === null ? null : cellOf(target, marks.target);
    if (read) {
      const box = boxOf(target.grid, read, size);
      shown.set(`read ${read}`, { box, draw: (context) => drawFrame(context, box, "#ffffff", 2) });
    }
    this.marks.paint(shown, all);
  }

  #drawBase(maps, view, { blend }) {
    const context = this.base.getContext("2d");
    const { source, target } = maps.layouts;
    const unit = unitOf(this.canvas);
    context.globalAlpha = 1;
    context.clearRect(0, 0, this.base.width, this.base.height);
    context.drawImage(this.backdrop, 0, 0);
    this.painter.fill(maps.patches(view.head), target.grid, maps.extent(view.head));
    context.globalAlpha = blend;
    this.painter.drawOn(context);
    context.globalAlpha = 1;
    drawGrid(context, source.grid, unit);
    if (view.links) this.#drawLinks(context, maps, view, unit);
  }

  #drawLinks(context, maps, view, unit) {
    const { source, target } = maps.layouts;
    const values = maps.of(view.head);
    const chosen = strongest(values, LINKS);
    const here = this.#pointOf(source, maps.source);
    for (const token of chosen.reverse()) {
      const there = this.#pointOf(target, token);
      const strength = values[chosen.at(-1)] > 0 ? Math.max(0, values[token] / values[chosen.at(-1)]) : 0;
      const [query, key] = view.direction === "by" ? [there, here] : [here, there];
      drawLink(context, query, key, strength, unit);
    }
  }

  // -> the point of a patch's centre; for a prefix token, the point above the picture under its chip
  #pointOf(layout, token) {
    const cell = cellOf(layout, token);
    if (cell) {
      const [x, y, width, height] = boxOf(layout.grid, cell, this.canvas);
      return [x + width / 2, y + height / 2];
    }
    const middle = this.chips.middleOf(layout.prefix[token]);
    const share = middle === null ? 0.5 : middle / this.width;
    return [Math.min(0.98, Math.max(0.02, share)) * this.canvas.width, 0];
  }

  #arrangeChips(layout) {
    if (this.layout === layout) return;
    this.layout = layout;
    this.chips.arrange(layout.prefix.map((name, token) => ({ name, label: this.words.token(layout, token) })));
  }

  #paintChips(maps, view, { pinned, target: read }) {
    const { source, target } = maps.layouts;
    const values = maps.of(view.head);
    const extent = maps.extent(view.head);
    this.chips.paint((name) => {
      const there = target.prefix.indexOf(name);
      const asked = source.prefix.indexOf(name) === maps.source;
      const value = { text: number(values[there], 2), colour: colourOf(values[there], extent), ink: inkOn(values[there], extent) };
      return { pressed: asked && pinned, asked, read: there >= 0 && there === read, value: there >= 0 ? value : null };
    });
  }
}

// Small maps, one for each head and one for their mean.
export class Tiles {
  // hover(name, head), leave(): the pointer is over a target. choose(head): a map is tapped.
  constructor(words, { hover, leave, choose }) {
    this.words = words;
    this.handlers = { hover, leave, choose };
    this.node = element("div", { class: "tiles", role: "group", "aria-label": words.format("maps") });
    this.tiles = [];
  }

  #build(heads) {
    if (this.tiles.length === heads + 1) return false;
    this.tiles = ["mean", ...Array(heads).keys()].map((head) => {
      const canvas = element("canvas");
      const name = element("span", { class: "name", text: this.words.head(head) });
      const value = element("span", { class: "top" });
      const caption = element("span", { class: "caption" }, name, value);
      // Not in the tab order, because the list of heads and the digit keys do the same without a dozen tab stops.
      const node = element("button", { class: "tile", type: "button", tabindex: "-1", "data-head": head }, canvas, caption);
      const onCell = (event) => {
        const cell = this.layout && cellUnder(event, canvas, this.layout.grid);
        if (cell) this.handlers.hover(nameOf(this.layout, tokenAt(this.layout, ...cell)), head);
      };
      watchPointer(canvas, { hover: onCell, leave: this.handlers.leave });
      node.addEventListener("click", () => this.handlers.choose(head));
      const painter = new MapPainter();
      const marks = new Marks(canvas, (context) => painter.drawOn(context));
      return { head, node, canvas, name, value, painter, marks, painted: null };
    });
    this.node.replaceChildren(...this.tiles.map((tile) => tile.node));
    return true;
  }

  #shown(view) {
    return this.tiles.filter(({ head }) => (view.head === "all" ? head !== "mean" : head === view.head));
  }

  // Sizes the maps to fill (width, height). aspect: height / width of one map. Without a height, maps are about 100 wide.
  arrange(heads, view, width, height, aspect) {
    this.#build(heads);
    const shown = this.#shown(view);
    for (const { node } of this.tiles) node.hidden = true;
    for (const { node } of shown) node.hidden = false;
    const [columns, size] = best(shown.length, width, height, aspect);
    this.node.style.gridTemplateColumns = `repeat(${columns}, ${size}px)`;
    this.small = size < WORDY;
    for (const tile of shown) {
      const { head, canvas, name } = tile;
      if (sizeCanvas(canvas, size, Math.round(size * aspect))) tile.painted = null;
      setText(name, size < NAMED && head !== "mean" ? String(head) : this.words.head(head));
    }
  }

  // marks: { target, tile }; tile: the head whose map is under the pointer.
  draw(maps, view, marks) {
    const { source, target } = maps.layouts;
    this.layout = target;
    const asked = source === target ? cellOf(source, maps.source) : null;
    const read = marks.target === null ? null : cellOf(target, marks.target);
    for (const tile of this.#shown(view)) {
      const { head, canvas, value, node, painter } = tile;
      const all = tile.painted !== maps;
      if (all) painter.fill(maps.patches(head), target.grid, maps.extent(head));
      tile.painted = maps;
      const unit = unitOf(canvas);
      const size = { width: canvas.width / unit, height: canvas.height / unit };
      const frames = new Map();
      for (const [grid, cell, colour] of [
        [source.grid, asked, marks.pinned ? marks.accent : "#ffffff"],
        [target.grid, read, "#ffffff"],
      ]) {
        if (!cell) continue;
        const box = boxOf(grid, cell, size);
        frames.set(`${cell} ${colour}`, { box, draw: (context) => drawFrame(context, box, colour, 1.5) });
      }
      tile.marks.paint(frames, all);
      const values = maps.of(head);
      const shown = number(marks.target === null ? top(maps.patches(head)) : values[marks.target], this.small ? 2 : 3);
      setText(value, marks.target === null && !this.small ? this.words.format("top", { value: shown }) : shown);
      setAttribute(node, "aria-pressed", head === view.head);
    }
  }

  clear() {
    for (const tile of this.tiles) {
      tile.painted = null;
      clearCanvas(tile.canvas);
    }
  }
}

// A token as a thumbnail of its patch, or the name of a prefix token, with its value.
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
    this.canvas.width = 0; // clears the previous patch
  }
}

// The readout of the microscope: query and keys as thumbnails, and the same as text for screen readers.
export class Readout {
  // canvas: the picture that gets the text alternative. bitmap() -> the photograph from which thumbnails are cut, or null.
  constructor(canvas, words, announcer, bitmap) {
    Object.assign(this, { canvas, words, announcer, bitmap });
    this.source = new Thumbnail();
    this.verb = element("span", { class: "verb" });
    this.targets = Array.from({ length: SHOWN }, () => new Thumbnail());
    this.place = element("span", { class: "place" });
    const shown = [this.source.node, this.verb, ...this.targets.map((target) => target.node), this.place];
    this.shown = element("div", { class: "asked-of", "aria-hidden": "true" }, ...shown);
    this.asked = element("p", { class: "asked unseen" });
    this.state = element("p", { class: "state" });
    this.reading = element("p", { class: "reading unseen" });
    this.node = element("div", { class: "words" }, this.shown, this.state, this.asked, this.reading);
  }

  // Shows a text while data are loading, and clears the previous values.
  wait(text) {
    for (const each of [this.source, ...this.targets]) each.clear();
    setText(this.verb, "");
    setText(this.place, "");
    setText(this.state, text);
    setText(this.reading, "");
    this.announcer.label(this.canvas, text);
    this.waited = true;
    this.#announce(text);
  }

  // marks: { target, pinned }. head: the head whose values are read out. aloud: whether they are announced.
  describe(maps, view, { target, pinned }, head, aloud) {
    const { words } = this;
    const source = words.token(maps.layouts.source, maps.source);
    const said = view.head === head ? view : { ...view, head };
    setText(this.asked, words.format("asked", { source, verb: words.verb(view.direction) }));
    setText(this.state, words.format(pinned ? "state_pinned" : "state_free"));
    setText(this.reading, target === null ? words.strongest(maps, head) : words.value(maps, head, target));
    this.#show(maps, view, head, target);
    const label = words.alternative(maps, said, pinned);
    this.announcer.label(this.canvas, label);
    if (aloud || this.waited) this.#announce(target === null ? label : this.reading.textContent);
    this.waited = false; // values that were waited for are announced, too
  }

  #show(maps, view, head, target) {
    const { words } = this;
    const bitmap = this.bitmap();
    const values = maps.of(head);
    const tokens = target === null ? strongest(values, SHOWN) : [target];
    this.source.show(bitmap, words, maps.layouts.source, maps.source);
    setText(this.verb, words.verb(view.direction));
    this.targets.forEach((thumbnail, i) => {
      if (i < tokens.length) thumbnail.show(bitmap, words, maps.layouts.target, tokens[i], number(values[tokens[i]]));
      else thumbnail.clear();
    });
    setText(this.place, words.format("in_layer", { layer: view.layer, head: words.head(head === "all" ? "mean" : head) }));
  }

  #announce(text) {
    if (text !== this.spoken) this.announcer.announce(text);
    this.spoken = text;
  }
}

function top(values) {
  let most = values[0];
  for (const value of values) if (value > most) most = value;
  return most;
}

// -> [columns, width] of the largest maps that fit; if they would be too small to point at, they have SMALLEST and continue below
export function best(count, width, height, aspect) {
  const sized = (columns) => Math.floor((width - GAP * (columns - 1)) / columns);
  const fitting = (least) => Math.max(1, Math.min(count, Math.floor((width + GAP) / (least + GAP))));
  if (!height) {
    const columns = Math.min(count, Math.max(2, fitting(100)));
    return [columns, count === 1 ? width : sized(columns)];
  }
  let found = [0, 0];
  for (let columns = count; columns >= 1; columns--) {
    const rows = Math.ceil(count / columns);
    const tallest = Math.floor(((height - GAP * (rows - 1)) / rows - CAPTION) / aspect);
    const size = Math.min(sized(columns), tallest);
    if (size >= found[1]) found = [columns, size];
  }
  if (found[1] >= SMALLEST) return found;
  const columns = fitting(SMALLEST);
  return [columns, Math.min(sized(columns), SMALLEST)];
}
