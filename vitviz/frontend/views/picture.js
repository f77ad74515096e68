// The picture: a photograph with its patch grid and a heat map. The pointer shows a patch's value, a click selects the patch.

import { cellAt, cellAtPlace, gridOf, middleOf, neighbour, patchName, patchNamed, placeOf } from "../core/layout.js";
import { number } from "../core/scale.js";
import { Mask } from "../core/state.js";
import { paintHint } from "../core/words.js";
import { Chips } from "../parts/controls.js";
import { element, setText } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, HELD_KEY_MS, leaveElsewhere, pointUnder, SharedCursor, STEPS, watchBrush, watchPointer } from "../parts/input.js";
import { View } from "../parts/view.js";
import { boxOf, clearCanvas, drawCuts, drawFrame, drawSegments, drawTag, drawHiddenPatch, Marks, contextUnder, sizeCanvas, drawStruckCell, tagBox, drawDimming } from "../render/canvas.js";
import { greyOf, MapPainter, paintScale } from "../render/heat.js";

const PREFERRED_BLEND = 0.65;
const LEAST_HEIGHT = 240; // least height of a picture in CSS pixels

export const mount = (node, host) => new Picture(node, host);

class Picture extends View {
  constructor(parent, host) {
    super(host);
    // shown: { data, picture, backdrop, hidden, values }, all of one request
    this.hover = null; // [row, col] in the shown grid
    this.chosen = ""; // name of a token in the grid of Python's last data
    this.blend = host.memory.blend ?? PREFERRED_BLEND;
    this.phone = window.matchMedia("(max-width: 640px)");
    const root = this.build();
    this.cursor = new SharedCursor((message) => this.follow(message));
    this.onDestroy(() => this.cursor.destroy());
    this.listen();
    this.show(parent, root);
  }

  build() {
    const { words } = this;
    this.canvas = element("canvas", { class: "main", tabindex: 0, role: "application" });
    this.marks = new Marks(this.canvas, (context) => context.drawImage(this.base, 0, 0));
    this.base = element("canvas"); // the picture below the marks, kept until it changes
    this.painted = ""; // describes what `base` shows
    this.above = element("div", { class: "above" }); // space above, for the numbers that a board has above its maps
    this.chips = new Chips(words.format("tokens"), { choose: (name) => this.pick(name, 0) });
    this.scale = element("div", { class: "scale" });
    this.readout = element("div", { class: "readout" });
    const oninput = (event) => {
      this.setBlend(event.target.value / 100);
      this.cursor.send({ blend: this.blend });
    };
    this.slider = element("input", { type: "range", "aria-label": words.format("blend"), min: 0, max: 100, value: 100 * this.blend, oninput });
    const [picture, map] = ["blend_picture", "blend_map"].map((name) => element("span", { text: words.format(name) }));
    this.blending = element("label", { class: "blend" }, picture, this.slider, map);
    this.foot = element("div", { class: "foot" }, this.readout, this.blending);
    const parts = [this.chips.node, this.status.node, this.above, this.canvas, this.scale, this.foot, this.announcer.node];
    this.painter = new MapPainter();
    return element("div", { class: "heatmap" }, ...parts);
  }

  listen() {
    this.mask = new Mask(() => this.redraw(), this.reports);
    watchBrush(this.canvas, this.mask, {
      at: (event) => this.shown && pointUnder(event, this.canvas, gridOf(this.shown.data)),
      cursor: () => this.hover,
      grid: () => (this.given.paint !== null && this.sameGrid() ? gridOf(this.given) : null),
      fingers: () => true,
      ended: () => this.describe(true),
    });
    this.onDestroy(flushOnLeaving(this.canvas, this.reports));
    watchPointer(this.canvas, { hover: (event) => this.point(event), leave: () => this.pointAt(null) });
    this.onDestroy(leaveElsewhere(this.canvas, () => this.hover && this.pointAt(null)));
    this.canvas.addEventListener("click", (event) => {
      const cell = this.given.paint === null ? this.cellAt(event) : null;
      // The selection is a patch of Python's current grid, at the same place as the patch of the grid that is still shown.
      if (cell) this.pick(patchName(cellAtPlace(placeOf(cell, gridOf(this.shown.data)), gridOf(this.given))), 0);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  update(data) {
    const before = this.given;
    this.given = data;
    this.cursor.group = data.link;
    if (before && String(gridOf(before)) !== String(gridOf(data))) {
      this.reports.drop(); // it refers to patches that no longer exist
      this.mask.clear();
    }
    if (this.reports.acknowledgedBy(data.received)) this.chosen = data.chosen;
    if (data.paint) this.mask.show(data.paint.cells, data.received);
    this.root.classList.toggle("painting", data.paint !== null);
    this.blending.hidden = !data.heat || data.plain || data.one_of_many;
    this.root.classList.toggle("many", shares(data));
    setText(this.above, data.above);
    this.above.hidden = !data.above;
    this.paintChips();
    const { accent, onAccent, paper } = this.host.theme();
    this.root.style.setProperty("--on-accent", onAccent);
    this.colours = { accent, paper };
    this.loader.load({ urls: { picture: data.url, numbers: data.heat && data.heat.url, hidden: data.paint && data.paint.url }, data });
  }

  // Everything for a request is loaded: data, values and pictures change together.
  onLoaded({ data }, { picture: { picture }, numbers, hidden }) {
    const before = this.shown;
    const backdrop = data.heat ? (picture === before?.picture && before.data.heat ? before.backdrop : greyOf(picture)) : picture;
    this.shown = { data, picture, backdrop, hidden: hidden?.picture, values: numbers && numbers.arrays.values };
    if (this.hover && before) this.hover = cellAtPlace(placeOf(this.hover, gridOf(before.data)), gridOf(data));
    if (numbers) this.painter.fill(this.shown.values, gridOf(data), data.heat);
    this.painted = "";
    paintScale(this.scale, data.heat || data.bar);
    this.root.dataset.ready = data.heat ? data.heat.url : data.url;
  }

  showStatus() {
    super.showStatus();
    if (this.loader.state !== "shown") delete this.root.dataset.ready;
    this.draw();
    this.describe();
  }

  paintChips() {
    this.chips.arrange(this.given.prefix);
    this.chips.paint((name) => ({ pressed: this.chosen === name }));
  }

  setBlend(blend) {
    this.blend = this.host.memory.blend = blend;
    this.redraw();
  }

  // -> whether the shown grid is that of Python's current data
  sameGrid() {
    return this.shown !== null && String(gridOf(this.shown.data)) === String(gridOf(this.given));
  }

  draw() {
    const { ratio, widest, around, stacked } = this.shown?.data || this.given;
    if (!this.width) return;
    const tallest = Math.max(LEAST_HEIGHT, this.windowHeight - around) / (this.phone.matches ? 1 : stacked); // all are visible at once
    const width = Math.round(Math.min(this.width, widest, tallest * ratio));
    const height = Math.round(width / ratio);
    const resized = sizeCanvas(this.canvas, width, height);
    for (const node of [this.above, this.scale, this.foot]) node.style.maxWidth = `${width}px`; // aligned with the map
    if (!this.shown) return this.clear();
    const wanted = [this.canvas.width, this.canvas.height, this.blend, this.colours.paper].join();
    const all = resized || this.painted !== wanted;
    if (all) this.paintBase(width, height);
    this.painted = wanted;
    this.marks.paint(this.marksIn(width, height), all);
  }

  clear() {
    clearCanvas(this.canvas);
    this.painted = "";
  }

  paintBase(width, height) {
    const { backdrop, data } = this.shown;
    const { grid, heat } = data;
    const context = contextUnder(this.base, this.canvas);
    context.imageSmoothingQuality = "high";
    if (!data.plain) context.drawImage(backdrop, 0, 0, width, height);
    if (grid.dim) drawDimming(context, this.colours.paper, grid.dim, width, height);
    if (heat) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = data.plain ? 1 : this.blend;
      context.drawImage(this.painter.canvas, 0, 0, width, height);
      context.globalAlpha = 1;
    }
    if (grid.line) drawCuts(context, gridOf(data), width, height, grid.line, this.colours.paper);
  }

  marksIn(width, height) {
    const { data, picture, hidden } = this.shown;
    const { grid } = data;
    const { accent } = this.colours;
    const cells = gridOf(data);
    const size = { width, height };
    const marks = new Map();
    const chosen = this.sameGrid() ? patchNamed(this.chosen) : null;
    if (chosen && grid.dim) {
      // The selected patch is not dimmed.
      const box = boxOf(cells, chosen, size);
      marks.set(`clear ${chosen}`, { box, draw: (context) => context.drawImage(picture, ...boxOf(cells, chosen, picture), ...box) });
    }
    for (const index of this.given.paint && this.sameGrid() ? this.mask.cells : []) {
      const cell = cellAt(index, cells[1]);
      const box = boxOf(cells, cell, size);
      const draw = (context) => (hidden ? drawHiddenPatch(context, hidden, boxOf(cells, cell, hidden), box) : drawStruckCell(context, box, accent));
      marks.set(`painted ${index}`, { box, draw });
    }
    if (grid.borders.length || grid.contour.length) {
      const draw = (context) => {
        drawSegments(context, grid.borders, cells, size);
        drawSegments(context, grid.contour, cells, size, "#2fd4ff");
      };
      marks.set(`lines ${JSON.stringify(grid.contour)}`, { box: [0, 0, width, height], draw });
    }
    const frame = (name, cell, colour, thick) => {
      const box = boxOf(cells, cell, size);
      marks.set(`${name} ${cell} ${colour}`, { box, draw: (context) => drawFrame(context, box, colour, thick) });
    };
    for (const mark of data.marks) {
      frame("mark", mark, "#ffffff", 1);
      if (!data.tag) continue;
      const box = tagBox(data.tag, boxOf(cells, mark, size), width);
      marks.set(`tag ${mark}`, { box, draw: (context) => drawTag(context, data.tag, box, this.host.theme().font) });
    }
    if (chosen) frame("chosen", chosen, accent, 3);
    if (this.hover && String(this.hover) !== String(chosen)) frame("hover", this.hover, "#ffffff", 2);
    return marks;
  }

  cellAt(event) {
    return this.shown && cellUnder(event, this.canvas, gridOf(this.shown.data));
  }

  point(event) {
    const cell = this.cellAt(event);
    if (String(cell) !== String(this.hover)) this.pointAt(cell);
  }

  pointAt(cell, aloud = false) {
    this.hover = cell;
    this.redraw();
    this.describe(aloud);
    if (this.shown) this.cursor.send({ hover: placeOf(cell, gridOf(this.shown.data)) });
  }

  // Follows a linked picture: its cursor, its selected patch, and the opacity of its map.
  follow({ hover, chosen, stamp, blend }) {
    if (!this.given) return;
    if (hover !== undefined) this.hover = this.shown && cellAtPlace(hover, gridOf(this.shown.data));
    if (chosen) {
      this.chosen = patchName(cellAtPlace(chosen, gridOf(this.given)));
      this.reports.follow(stamp);
    }
    if (blend !== undefined) {
      this.setBlend(blend);
      this.slider.value = 100 * blend;
    }
    this.redraw();
    this.describe();
  }

  key(event) {
    const step = STEPS[event.key];
    const { prefix } = this.given;
    const [grid, middle] = [gridOf(this.given), middleOf(gridOf(this.given))];
    const next = (from) => neighbour(from, step, grid);
    if (step && this.given.paint) {
      if (this.sameGrid()) this.pointAt(this.hover ? next(this.hover) : middle, true);
    } else if (step) {
      this.pick(patchName(next(patchNamed(this.chosen) || middle)), HELD_KEY_MS);
    } else if (event.key === "Escape" && prefix.length) {
      this.pick(prefix[0].name, 0);
    } else {
      return;
    }
    event.preventDefault();
  }

  // Marks a token at once, and reports it to Python after `delay` milliseconds, so that a key that is held down causes one report.
  pick(name, delay) {
    this.chosen = name;
    this.redraw();
    this.paintChips();
    const stamp = this.reports.make(name, delay);
    this.describe(true);
    const cell = patchNamed(name);
    this.cursor.send({ chosen: cell && placeOf(cell, gridOf(this.given)), stamp });
  }

  // aloud: whether it is announced, which is so after a key or a choice but not after a movement of the pointer
  describe(aloud = false) {
    const { words } = this;
    const { alt } = this.shown?.data || this.given;
    const { state } = this.loader;
    const text = this.shown ? this.reading() : this.placeholder;
    const quiet = this.shown && !this.hover && shares(this.shown.data);
    setText(this.readout, quiet ? "" : text);
    this.root.classList.toggle("read", !quiet);
    const spoken = [state === "failed" ? this.status.text : text];
    if (this.given.paint) spoken.push(words.format("marked_count", { count: this.mask.cells.size, total: this.given.rows * this.given.cols }));
    const keys = this.given.paint ? [] : [words.format("keys")];
    this.announcer.label(this.canvas, [alt, spoken.join(" · "), ...keys].join(" "));
    if (aloud) this.announcer.announce(spoken.join(" · "));
  }

  reading() {
    const { words, given } = this;
    const { state } = this.loader;
    const { heat, cols, places: [rowNames, colNames] } = this.shown.data;
    const cell = this.hover || (this.sameGrid() ? patchNamed(this.chosen) : null);
    if (cell) {
      const [row, col] = cell;
      const value = heat ? number(this.shown.values[row * cols + col]) : "";
      const marked = given.paint && this.sameGrid() ? words.format(this.mask.cells.has(row * cols + col) ? "marked" : "unmarked") : "";
      const facts = state === "shown" ? [value, marked] : [words.format("loading")];
      return [words.format("place", { row: rowNames[row] ?? row, col: colNames[col] ?? col }), ...facts].filter(Boolean).join(" · ");
    }
    if (given.paint) return paintHint(given.paint);
    // The page itself shows the hint, once for all its pictures.
    return given.one_of_many ? "\u00a0" : words.format("hint");
  }
}

// -> whether the readout is in place of the caption of the colour bar; pictures in a group have one line for both
function shares({ one_of_many, heat, bar }) {
  return one_of_many && Boolean((heat || bar)?.caption);
}
