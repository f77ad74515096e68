// The picture: a photograph under its patch grid, with a heat map over it. Point for the value, click to choose a patch.

import { cellThere, clamp, patchName, patchNamed, placeOf } from "../core/layout.js";
import { Mask } from "../core/mask.js";
import { number } from "../core/scale.js";
import { Reports } from "../core/state.js";
import { Words } from "../core/words.js";
import { Loader, sourceOf } from "../data/source.js";
import { Status } from "../parts/announcer.js";
import { Chips } from "../parts/chips.js";
import { element } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, SharedCursor, STEPS, watchBrush } from "../parts/input.js";
import { paintScale } from "../render/colourbar.js";
import { greyOf, MapPainter } from "../render/heat.js";
import { boxOf, drawCuts, drawFrame, drawSegments, strike, veil } from "../render/marks.js";
import { onceAFrame, penOf, watchSize } from "../render/surface.js";

const PREFERRED_BLEND = 0.65;
const HELD_KEY_MS = 200;

export function mount(node, host) {
  const view = new Picture(node, host);
  return { update: (data) => view.update(data), destroy: () => view.destroy() };
}

class Picture {
  constructor(parent, host) {
    this.host = host;
    this.words = new Words(host.words);
    this.given = null; // what Python sent last
    this.shown = null; // { data, picture, backdrop, values }: what is on the screen, all of one question; null before and after failures
    this.hover = null; // [row, col] in the grid that is shown
    this.chosen = ""; // a token's name in the grid that was sent last
    this.blend = PREFERRED_BLEND;
    this.loader = new Loader(sourceOf(host), {
      arrived: (question, payloads) => this.take(question, payloads),
      changed: () => this.turn(),
      stale: () => host.stale(),
    });
    this.reports = new Reports((value, number) => host.report(value, number));
    this.status = new Status(this.words, () => this.loader.again());
    this.build(parent);
    this.redraw = onceAFrame(() => this.draw());
    this.cursor = new SharedCursor((news) => this.follow(news));
    this.listen();
    this.unwatch = watchSize(this.root, () => this.redraw());
  }

  build(parent) {
    this.canvas = element("canvas", { class: "main", tabindex: 0, role: "img" });
    const { words } = this;
    this.chips = new Chips(words.say("tokens"), { choose: (name) => this.pick(name, 0) });
    this.scale = element("div", { class: "scale" });
    this.readout = element("div", { class: "readout", "aria-live": "polite" });
    const oninput = (event) => {
      this.blend = event.target.value / 100;
      this.redraw();
      this.cursor.send({ blend: this.blend });
    };
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 100 * PREFERRED_BLEND, oninput });
    this.blending = element("label", { class: "blend" }, element("span", { text: words.say("blend") }), this.slider);
    const parts = [this.chips.node, this.status.node, this.canvas, this.scale, this.readout, this.blending];
    this.root = element("div", { class: "heatmap" }, ...parts);
    this.painter = new MapPainter();
    parent.append(this.root);
  }

  listen() {
    this.mask = new Mask(() => this.redraw(), this.reports);
    const index = (cell) => cell && cell[0] * this.given.cols + cell[1];
    watchBrush(this.canvas, this.mask, {
      cellAt: (event) => index(this.cellAt(event)),
      cursor: () => index(this.hover),
      painting: () => this.given.paint !== null && this.sameGrid(),
    });
    this.unflush = flushOnLeaving(this.canvas, this.reports);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.pointAt(null));
    this.canvas.addEventListener("click", (event) => {
      const cell = this.given.paint === null ? this.cellAt(event) : null;
      // Chosen in the grid that Python knows, wherever that patch is in the one that is still shown.
      if (cell) this.pick(patchName(cellThere(placeOf(cell, gridOf(this.shown.data)), gridOf(this.given))), 0);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  destroy() {
    this.loader.stop();
    this.status.destroy();
    this.unwatch();
    this.redraw.stop();
    this.cursor.destroy();
    this.unflush();
    this.reports.drop();
    this.root.remove();
  }

  update(data) {
    const before = this.given;
    this.given = data;
    this.cursor.group = data.link;
    if (before && String(gridOf(before)) !== String(gridOf(data))) {
      this.reports.drop(); // it was about patches that are no longer there
      this.mask.clear();
    }
    if (this.reports.answeredBy(data.heard)) this.chosen = data.chosen;
    if (data.paint) this.mask.show(data.paint.cells, data.heard);
    this.blending.hidden = !data.heat || data.one_of_many;
    this.paintChips();
    this.loader.ask({ urls: { picture: data.url, numbers: data.heat && data.heat.url }, data });
  }

  // All that a question needs is here: data, values and picture change together.
  take({ data }, { picture: { picture }, numbers }) {
    const before = this.shown;
    const backdrop = data.heat ? (picture === before?.picture && before.data.heat ? before.backdrop : greyOf(picture)) : picture;
    this.shown = { data, picture, backdrop, values: numbers && numbers.arrays.values };
    if (this.hover && before) this.hover = cellThere(placeOf(this.hover, gridOf(before.data)), gridOf(data));
    if (numbers) this.painter.fill(this.shown.values, gridOf(data), data.heat);
    paintScale(this.scale, data.heat);
    this.root.dataset.ready = data.heat ? data.heat.url : data.url;
  }

  turn() {
    const { state } = this.loader;
    if (state !== "shown") delete this.root.dataset.ready;
    if (state === "failed") this.shown = null;
    this.status.show(this.root, this.loader);
    this.draw();
    this.say();
  }

  paintChips() {
    this.chips.arrange(this.given.prefix);
    this.chips.paint((name) => ({ pressed: this.chosen === name }));
  }

  // Whether what is shown is cut as Python has it by now.
  sameGrid() {
    return this.shown !== null && String(gridOf(this.shown.data)) === String(gridOf(this.given));
  }

  draw() {
    const { ratio, widest } = (this.shown?.data || this.given);
    if (!this.root.clientWidth) return;
    const width = Math.min(this.root.clientWidth, widest);
    const height = Math.round(width / ratio);
    const pen = penOf(this.canvas, width, height);
    if (!this.shown) return;
    const { data, picture, backdrop } = this.shown;
    const { grid, heat, marks } = data;
    const cells = gridOf(data);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(backdrop, 0, 0, width, height);
    const { paper, accent } = this.host.theme();
    if (grid.dim) veil(pen, paper, grid.dim, width, height);
    if (heat) {
      pen.imageSmoothingEnabled = false;
      pen.globalAlpha = this.blend;
      pen.drawImage(this.painter.canvas, 0, 0, width, height);
      pen.globalAlpha = 1;
    }
    if (grid.line) drawCuts(pen, cells, width, height, grid.line, paper);
    const boxed = (cell) => boxOf(cells, cell, { width, height });
    const chosen = this.sameGrid() ? patchNamed(this.chosen) : null;
    if (chosen && grid.dim) {
      // The patch under discussion stays as it is while the rest sinks into the page.
      pen.drawImage(picture, ...boxOf(cells, chosen, picture), ...boxed(chosen));
    }
    if (this.given.paint && this.sameGrid()) {
      for (const index of this.mask.cells) strike(pen, boxed([Math.floor(index / cells[1]), index % cells[1]]), accent);
    }
    drawSegments(pen, grid.walls, cells, { width, height });
    drawSegments(pen, grid.contour, cells, { width, height }, "#2fd4ff");
    for (const mark of marks) drawFrame(pen, boxed(mark), "#ffffff", 1);
    if (chosen) drawFrame(pen, boxed(chosen), accent, 3);
    if (this.hover) drawFrame(pen, boxed(this.hover), "#ffffff", 2);
  }

  cellAt(event) {
    return this.shown && cellUnder(event, this.canvas, gridOf(this.shown.data));
  }

  point(event) {
    const cell = this.cellAt(event);
    if (String(cell) !== String(this.hover)) this.pointAt(cell);
  }

  pointAt(cell) {
    this.hover = cell;
    this.redraw();
    this.say();
    if (this.shown) this.cursor.send({ hover: placeOf(cell, gridOf(this.shown.data)) });
  }

  // What a linked picture said: where its cursor is, which patch was chosen there, how strong its map is painted.
  follow({ hover, chosen, stamp, blend }) {
    if (!this.given) return;
    if (hover !== undefined) this.hover = this.shown && cellThere(hover, gridOf(this.shown.data));
    if (chosen) {
      this.chosen = patchName(cellThere(chosen, gridOf(this.given)));
      this.reports.follow(stamp);
    }
    if (blend !== undefined) {
      this.blend = blend;
      this.slider.value = 100 * blend;
    }
    this.redraw();
    this.say();
  }

  key(event) {
    const step = STEPS[event.key];
    const { rows, cols, prefix } = this.given;
    const middle = [Math.floor(rows / 2), Math.floor(cols / 2)];
    const next = (from) => [clamp(from[0] + step[0], rows), clamp(from[1] + step[1], cols)];
    if (step && this.given.paint) {
      if (this.sameGrid()) this.pointAt(this.hover ? next(this.hover) : middle);
    } else if (step) {
      this.pick(patchName(next(patchNamed(this.chosen) || middle)), HELD_KEY_MS);
    } else if (event.key === "Escape" && prefix.length) {
      this.pick(prefix[0].name, 0);
    } else {
      return;
    }
    event.preventDefault();
  }

  // Marks the token at once; Python hears of it after `delay` milliseconds, so that a held key asks once.
  pick(name, delay) {
    this.chosen = name;
    this.redraw();
    this.paintChips();
    const stamp = this.reports.make(name, delay);
    this.say();
    const cell = patchNamed(name);
    this.cursor.send({ chosen: cell && placeOf(cell, gridOf(this.given)), stamp });
  }

  say() {
    const { words } = this;
    const { heat, cols, alt } = this.shown?.data || this.given;
    const { state } = this.loader;
    const cell = this.hover || (this.sameGrid() ? patchNamed(this.chosen) : null);
    let text;
    if (!this.shown) {
      text = state === "failed" ? "\u00a0" : words.say("loading");
    } else if (cell) {
      const value = state === "shown" && heat ? number(this.shown.values[cell[0] * cols + cell[1]]) : "";
      text = [words.say("place", { row: cell[0], col: cell[1] }), state === "shown" ? value : words.say("loading")].filter(Boolean).join(" · ");
    } else if (this.given.paint) {
      text = this.given.paint.hint;
    } else {
      // Among many pictures the page says it once.
      text = this.given.one_of_many ? "\u00a0" : words.say("hint");
    }
    if (this.readout.textContent !== text) this.readout.textContent = text;
    this.canvas.setAttribute("aria-label", `${alt} ${state === "failed" ? this.status.text : text}`);
  }
}

function gridOf({ rows, cols }) {
  return [rows, cols];
}
