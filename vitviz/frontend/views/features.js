// Patch features: cosine similarities of all patches with the patch under the pointer, in one or two photographs; or photographs
// beside pictures computed in Python from their patches, such as principal components and clusters.

import { cellAt, gridOf, middleOf, neighbour, PANELS, panelsFor, patchName, patchNamed } from "../core/layout.js";
import { extentWithout, number, rankOf } from "../core/scale.js";
import { nearest, PatchVectors } from "../core/weights.js";
import { element, pixelRatio, setText } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, HELD_KEY_MS, STEPS, watchPointer } from "../parts/input.js";
import { View } from "../parts/view.js";
import { boxOf, drawFrame, drawLine, clearedContext } from "../render/canvas.js";
import { greyOf, MapPainter, paintScale } from "../render/heat.js";

const MAP = 0.6; // opacity of the map over the photograph

export const mount = (node, host) => new Features(node, host);

class Features extends View {
  constructor(parent, host) {
    super(host);
    // shown: { data, pictures: [{ picture, grey, vectors, painted, values }], pairs }, all of one request
    this.chosen = null; // { picture, cell } that was clicked, or null
    this.pointed = null; // { picture, cell } under the pointer
    this.resting = null; // the source if none is clicked or under the pointer
    this.cached = new Map(); // similarities by "picture of the source, its patch, picture of the map"
    this.panels = [];
    this.lines = element("canvas", { class: "lines", "aria-hidden": "true" });
    this.place = element("div", { class: "place" });
    this.reading = element("p", { class: "reading" });
    this.show(parent, element("section", { class: "features" }, this.status.node, this.place, this.reading, this.announcer.node));
    // For tests: the numbers that are painted.
    this.root.vitvizFeatures = { values: (picture) => Array.from(this.similarities(this.sourcePatch(), picture)), source: () => this.sourcePatch() };
    this.onDestroy(flushOnLeaving(this.root, this.reports));
  }

  update(data) {
    this.given = data;
    if (this.reports.acknowledgedBy(data.received)) this.#follow(data.source);
    const urls = { pairs: data.pairs };
    data.pictures.forEach(({ picture, features, painted, numbers }, i) => {
      Object.assign(urls, { [`picture${i}`]: picture, [`features${i}`]: features, [`painted${i}`]: painted, [`numbers${i}`]: numbers });
    });
    this.#build(data);
    this.loader.load({ urls, data });
    this.redraw();
  }

  #follow({ picture, cell, chosen }) {
    const source = { picture, cell: patchNamed(cell) };
    this.chosen = chosen ? source : null;
    this.resting = source;
  }

  // Creates a panel for each photograph, and in mode "painted" another one for the picture from Python.
  #build({ mode, pictures }) {
    const kinds = mode === "alike" ? ["alike"] : ["photograph", "painted"];
    const wanted = JSON.stringify([kinds, pictures.map(({ title }) => title)]);
    if (this.built === wanted) return;
    this.built = wanted;
    this.panels = pictures.flatMap(({ title }, picture) => kinds.map((kind) => this.#panel(kind, picture, title)));
    this.place.replaceChildren(...this.panels.flatMap(({ name, canvas, bar }) => [name, canvas, bar]), this.lines);
  }

  #panel(kind, picture, title) {
    const first = kind !== "painted"; // a photograph's second panel handles pointer events only
    const canvas = element("canvas", first ? { class: "panel", tabindex: 0, role: "application" } : { class: "panel", role: "img" });
    const name = element("p", { class: "name", text: kind === "painted" ? "" : title });
    const at = (event) => this.shown && cellUnder(event, canvas, gridOf(this.shown.data.pictures[picture]));
    watchPointer(canvas, {
      hover: (event) => this.point(picture, at(event)),
      leave: () => this.point(picture, null),
      tap: (event) => {
        const cell = at(event);
        if (cell) this.choose(same(this.chosen, { picture, cell }) ? null : { picture, cell });
        if (first) canvas.focus({ preventScroll: true });
      },
    });
    canvas.addEventListener("keydown", (event) => this.key(event, picture));
    return { kind, picture, canvas, name, base: element("canvas"), bar: element("div", { class: "scale", hidden: true }), painter: new MapPainter() };
  }

  onLoaded({ data }, payloads) {
    const before = this.shown;
    const pictures = data.pictures.map((_, i) => {
      const { picture } = payloads[`picture${i}`];
      const known = before?.pictures.find((each) => each.picture === picture);
      return {
        picture,
        grey: known?.grey ?? greyOf(picture),
        vectors: payloads[`features${i}`] && new PatchVectors(payloads[`features${i}`]),
        painted: payloads[`painted${i}`]?.picture,
        values: payloads[`numbers${i}`],
      };
    });
    this.shown = { data, pictures, pairs: payloads.pairs?.arrays };
    this.cached.clear();
    this.pointed = null;
    this.#build(data);
  }

  // -> the source patch, which the others are compared with: the clicked one, else the one under the pointer, else that from Python
  sourcePatch() {
    for (const source of [this.chosen, this.pointed, this.resting]) {
      const grid = source && this.shown?.data.pictures[source.picture];
      if (grid && source.cell && source.cell[0] < grid.rows && source.cell[1] < grid.cols) return source;
    }
    return { picture: 0, cell: middleOf(gridOf(this.shown.data.pictures[0])) };
  }

  indexOf({ picture, cell }) {
    return cell[0] * this.shown.data.pictures[picture].cols + cell[1];
  }

  // -> cosine similarities of every patch of `picture` with the source patch
  similarities(source, picture) {
    const name = `${source.picture} ${this.indexOf(source)} ${picture}`;
    if (!this.cached.has(name)) {
      if (this.cached.size > 8) this.cached.clear(); // bounds the cache
      const { pictures } = this.shown;
      this.cached.set(name, pictures[picture].vectors.similarities(this.indexOf(source), pictures[source.picture].vectors));
    }
    return this.cached.get(name);
  }

  point(picture, cell) {
    const pointed = cell && { picture, cell };
    if (same(pointed, this.pointed)) return;
    this.pointed = pointed;
    this.redraw(true);
  }

  // Marks a patch at once, and reports it to Python after `delay` milliseconds, so that a key that is held down causes one report.
  choose(chosen, delay = 0) {
    if (!chosen) this.resting = this.sourcePatch();
    this.chosen = chosen;
    this.aloud = true;
    this.reports.make(chosen ? { picture: chosen.picture, cell: patchName(chosen.cell) } : null, delay);
    this.redraw(true);
  }

  key(event, picture) {
    const by = STEPS[event.key];
    if (!this.shown || (!by && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!by) return this.chosen && this.choose(null);
    const grid = gridOf(this.shown.data.pictures[picture]);
    const source = this.sourcePatch();
    const from = source.picture === picture ? source.cell : middleOf(grid);
    this.choose({ picture, cell: neighbour(from, by, grid) }, HELD_KEY_MS);
  }

  draw() {
    if (!this.width || !this.given) return;
    const ratios = this.given.pictures.map(({ ratio }) => ratio);
    const { boxes, height } = panelsFor(this.given.mode, ratios, this.width, this.windowHeight);
    this.place.style.height = `${height}px`;
    const source = this.shown && this.built && this.shown.data.mode === this.given.mode ? this.sourcePatch() : null;
    this.panels.forEach((panel, i) => {
      const box = boxes[i];
      place(panel.name, { ...box, top: box.top - PANELS.TITLE });
      place(panel.canvas, box);
      place(panel.bar, { ...box, top: box.top + box.height + 4 });
      panel.box = box;
      this.#paint(panel, source);
    });
    this.#link(source, height);
    if (source) this.#describe(source);
    else setText(this.reading, this.placeholder);
    if (!source || this.loader.state !== "shown") return;
    Object.assign(this.root.dataset, { ready: this.given.pictures[0].picture, source: `${source.picture} ${patchName(source.cell)}` });
    this.root.dispatchEvent(new CustomEvent("painted"));
  }

  // Paints a panel if it has changed; most panels stay the same when the pointer moves.
  #paint(panel, source) {
    const { kind, picture, painter, bar, box, canvas } = panel;
    const there = source && this.shown.pictures[picture];
    bar.hidden = kind !== "alike";
    const { accent } = this.host.theme();
    const frames = there ? this.#frames(kind, picture, source, accent) : [];
    const drawn = [box.width, box.height, pixelRatio(), kind === "alike" && there && `${source.picture} ${source.cell}`, ...frames].join(" ");
    if (panel.drawn === drawn && panel.there === there) return;
    Object.assign(panel, { drawn, there });
    const context = clearedContext(canvas, box.width, box.height);
    if (!there) return;
    const grid = gridOf(this.shown.data.pictures[picture]);
    const under = { alike: there.grey, photograph: there.picture, painted: there.painted }[kind];
    context.drawImage(this.#base(panel, under, under.width > grid[1]), 0, 0, box.width, box.height); // one pixel per patch is not smoothed
    if (kind === "alike") {
      const values = this.similarities(source, picture);
      const own = source.picture === picture ? this.indexOf(source) : -1;
      const scale = extentWithout(values, own);
      painter.fill(values, grid, scale);
      context.imageSmoothingEnabled = false;
      context.globalAlpha = MAP;
      context.drawImage(painter.canvas, 0, 0, box.width, box.height);
      context.globalAlpha = 1;
      this.#bar(bar, scale);
    }
    for (const [cell, colour, thick] of frames) drawFrame(context, boxOf(grid, cell, box), colour, thick);
  }

  // -> [cell, colour, thickness] of each framed patch, in drawing order
  #frames(kind, picture, source, accent) {
    const pointed = this.pointed?.picture === picture && [this.pointed.cell, "#ffffff", 2];
    const own = source.picture === picture && (kind === "alike" || this.chosen) && [source.cell, accent, 3];
    const two = kind === "alike" ? [!same(source, this.pointed) && pointed, own] : [own, pointed];
    return two.filter(Boolean);
  }

  // The picture below map and frames in screen pixels, kept because scaling a photograph is the slowest part of painting.
  #base(panel, under, smooth) {
    const { base, canvas } = panel;
    if (panel.under === under && base.width === canvas.width && base.height === canvas.height) return base;
    panel.under = under;
    [base.width, base.height] = [canvas.width, canvas.height];
    const context = base.getContext("2d");
    Object.assign(context, { imageSmoothingEnabled: smooth, imageSmoothingQuality: "high" });
    context.drawImage(under, 0, 0, base.width, base.height);
    return base;
  }

  // The colour bar of one map. The scale leaves out the source patch, whose similarity of 1 would compress the range of the others.
  #bar(bar, scale) {
    const ticks = [0, 0.5, 1].map((share) => [share, number(scale.low + share * (scale.high - scale.low))]);
    const [flat, kept] = [scale.high <= scale.low, bar.querySelectorAll(".ticks span")];
    // When the pointer moves, only the numbers are changed: a new colour bar would take half of a frame.
    if (!flat && kept.length === ticks.length) ticks.forEach(([, text], i) => setText(kept[i], text));
    else paintScale(bar, { signed: false, flat, ticks, caption: "" });
  }

  // Draws a line from the source patch to its nearest neighbour in the other photograph, or lines between all mutual neighbours.
  #link(source, height) {
    const { accent } = this.host.theme();
    const drawn = JSON.stringify([source, this.given.mode, this.width, height, pixelRatio(), accent]);
    if (this.linked === drawn && this.linkedOf === this.shown) return;
    Object.assign(this, { linked: drawn, linkedOf: this.shown });
    const context = clearedContext(this.lines, this.width, height);
    if (!source || this.given.mode !== "alike" || this.shown.pictures.length < 2) return;
    const { pairs } = this.shown;
    const middle = (picture, index) => {
      const { box } = this.panels[picture];
      const [rows, cols] = gridOf(this.shown.data.pictures[picture]);
      const [row, col] = cellAt(index, cols);
      return [box.left + (col + 0.5) * (box.width / cols), box.top + (row + 0.5) * (box.height / rows)];
    };
    if (pairs) for (let i = pairs.source.length - 1; i >= 0; i--) drawLine(context, middle(0, pairs.source[i]), middle(1, pairs.target[i]), "#ffffff", 1.25);
    const other = 1 - source.picture;
    drawLine(context, middle(source.picture, this.indexOf(source)), middle(other, nearest(this.similarities(source, other))), accent, 2.5);
  }

  #describe(source) {
    const text = this.given.mode === "alike" ? this.#alike(source) : this.#painted(source);
    setText(this.reading, text);
    for (const { kind, canvas, picture } of this.panels) {
      if (kind === "painted") this.announcer.label(canvas, this.given.alt);
      else this.announcer.label(canvas, `${this.given.pictures[picture].title}. ${this.given.alt} ${text}`);
    }
    if (this.aloud) this.announcer.announce(text);
    this.aloud = false;
  }

  #place(picture, index) {
    const [row, col] = cellAt(index, this.shown.data.pictures[picture].cols);
    return this.words.format("place", { row, col });
  }

  #alike(source) {
    const { words, pointed, shown } = this;
    const [own, other] = [source.picture, 1 - source.picture];
    if (this.chosen && pointed && !same(pointed, source)) {
      const values = this.similarities(source, pointed.picture);
      const index = this.indexOf(pointed);
      const blanks = { value: number(values[index], 4), rank: rankOf(values, index), count: values.length };
      return words.format("value", { ...blanks, place: this.#place(pointed.picture, index), title: this.#title(pointed.picture) });
    }
    const index = this.indexOf(source);
    const here = this.similarities(source, own);
    const best = nearest(here, index);
    const said = [words.format("here", { place: this.#place(own, index), title: this.#title(own), best: this.#place(own, best), value: number(here[best], 3) })];
    if (shown.pictures.length > 1) {
      const there = this.similarities(source, other);
      const found = nearest(there);
      const back = nearest(shown.pictures[own].vectors.similarities(found, shown.pictures[other].vectors));
      const key = back === index ? "there_mutual" : "there";
      said.push(words.format(key, { title: this.#title(other), best: this.#place(other, found), value: number(there[found], 3), back: this.#place(own, back) }));
    }
    return said.join(" ");
  }

  #title(picture) {
    return this.shown.data.pictures[picture].title;
  }

  #painted(source) {
    const { words, shown } = this;
    const at = this.pointed ?? (this.chosen ? source : null);
    if (!at) return words.format("painted_hint");
    const { arrays, shapes } = shown.pictures[at.picture].values;
    const [index, count] = [this.indexOf(at), shapes.values[1]];
    const values = [...arrays.values.subarray(index * count, (index + 1) * count)];
    const blanks = { place: this.#place(at.picture, index), title: this.#title(at.picture) };
    const { sizes } = shown.data;
    if (sizes) return words.format("group", { ...blanks, group: values[0] + 1, groups: sizes.length, count: sizes[values[0]] });
    if (Number.isNaN(values[0])) return words.format("background", blanks);
    return words.format("components", { ...blanks, values: values.map((value) => number(value)).join(", ") });
  }
}

function same(one, two) {
  return one === two || (one !== null && two !== null && one.picture === two.picture && String(one.cell) === String(two.cell));
}

function place(node, { left, top, width }) {
  node.style.transform = `translate(${left}px, ${top}px)`;
  node.style.width = `${width}px`;
}
