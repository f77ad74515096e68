// The board: a small map for each head of each layer. The pointer shows a map's numbers, a click enlarges the map.

import { BOARD, boardSize, cellAt, headAt, mapBox, neighbour, pointAt } from "../core/layout.js";
import { number } from "../core/scale.js";
import { Mask } from "../core/state.js";
import { paintHint } from "../core/words.js";
import { element, setText } from "../parts/dom.js";
import { flushOnLeaving, HELD_KEY_MS, leaveElsewhere, pointUnder, STEPS, watchBrush, watchPointer } from "../parts/input.js";
import { View } from "../parts/view.js";
import { clearCanvas, drawFrame, Marks, contextUnder, sizeCanvas, drawStruckCell } from "../render/canvas.js";
import { MapPainter, paintScale } from "../render/heat.js";

// CSS pixels: the window height for which Python's `tallest` was chosen, and the least height of a board.
const [MEANT_FOR, LEAST_HEIGHT] = [768, 240];

export const mount = (node, host) => new Board(node, host);

class Board extends View {
  constructor(parent, host) {
    super(host);
    // shown: { data, payload, maps, shape }, all of one request
    this.hover = null; // [layer, head]
    this.phone = window.matchMedia("(max-width: 600px)");
    this.canvas = element("canvas", { class: "main", tabindex: 0, role: "application" });
    this.base = element("canvas"); // the picture below the marks, kept until it changes
    this.painted = ""; // describes what `base` shows
    this.marks = new Marks(this.canvas, (context) => context.drawImage(this.base, 0, 0));
    this.scroller = element("div", { class: "scroller" }, this.canvas);
    this.scale = element("div", { class: "scale" });
    this.readout = element("div", { class: "readout" });
    this.listen();
    this.show(parent, element("div", { class: "heatmap" }, this.status.node, this.scroller, this.scale, this.readout, this.announcer.node));
  }

  listen() {
    watchPointer(this.canvas, { hover: (event) => this.pointAt(this.headUnder(event)), leave: () => this.pointAt(null) });
    this.onDestroy(leaveElsewhere(this.canvas, () => this.pointAt(null)));
    this.mask = new Mask(() => this.redraw(), this.reports);
    watchBrush(this.canvas, this.mask, {
      at: (event) => {
        const place = this.placeOf(event);
        return place && pointAt(this.size, ...place);
      },
      cursor: () => this.hover,
      grid: () => (this.given.paint !== null && this.sameShape() ? this.given.shape : null),
      ended: () => this.describe(true),
    });
    this.onDestroy(flushOnLeaving(this.canvas, this.reports));
    this.canvas.addEventListener("click", (event) => {
      const at = this.given.paint === null && this.sameShape() ? this.headUnder(event) : null;
      if (at) this.pick(at, 0);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.scroller.addEventListener("scroll", () => (this.host.memory.scrolled = this.scroller.scrollLeft));
  }

  update(data) {
    const before = this.given;
    this.given = data;
    if (before && String(before.shape) !== String(data.shape)) {
      this.reports.drop(); // it refers to heads that no longer exist
      this.mask.clear();
    }
    if (this.reports.acknowledgedBy(data.received)) this.chosen = data.chosen;
    if (data.paint) this.mask.show(data.paint.cells, data.received);
    this.colours = this.host.theme();
    this.loader.load({ urls: { numbers: data.url }, data });
  }

  // Everything for a request is loaded: data, values and maps change together.
  onLoaded({ data }, { numbers: payload }) {
    const same = this.shown?.payload === payload && this.shown.data.heat.signed === data.heat.signed;
    const maps = same ? this.shown.maps : paintMaps(payload, data.heat.signed);
    if (this.shown && String(this.shown.shape) !== String(payload.shapes.values)) this.hover = null;
    this.shown = { data, payload, maps, shape: payload.shapes.values };
    this.painted = "";
    paintScale(this.scale, data.heat);
    this.root.dataset.ready = data.url;
  }

  showStatus() {
    super.showStatus();
    if (this.loader.state !== "shown") delete this.root.dataset.ready;
    this.draw();
    this.describe();
  }

  // -> whether the maps on the screen have the shape of Python's current data, so that an index is the same head in both
  sameShape() {
    return this.shown !== null && String(this.shown.shape.slice(0, 2)) === String(this.given.shape);
  }

  draw() {
    if (!this.shown || !this.width) return this.clear();
    const { data, shape } = this.shown;
    // On a phone the board has the whole width, and the page scrolls vertically.
    const tallest = this.phone.matches ? Infinity : Math.max(LEAST_HEIGHT, data.tallest + this.windowHeight - MEANT_FOR);
    const aside = data.wrapped ? BOARD.GAP : 0; // for a frame around the first map; the maps align with the text
    this.size = boardSize(shape, this.width + aside, tallest, data.wrapped);
    this.scroller.style.marginLeft = `${-aside}px`;
    const left = this.size.margin - aside;
    // Aligns the colour bar with the visible maps.
    this.scale.style.marginLeft = `${left}px`;
    this.scale.style.setProperty("--maps", `${Math.min(this.width, this.size.width - BOARD.GAP - aside) - left}px`);
    const resized = sizeCanvas(this.canvas, this.size.width, this.size.height);
    if (this.host.memory.scrolled && !this.scrolled) this.scroller.scrollLeft = this.host.memory.scrolled;
    this.scrolled = true; // the scroll position is restored once
    const wanted = [this.canvas.width, this.canvas.height, this.colours.ink].join();
    const all = resized || this.painted !== wanted;
    if (all) this.paintBase();
    this.painted = wanted;
    this.marks.paint(this.marksIn(), all);
  }

  clear() {
    clearCanvas(this.canvas);
    this.painted = "";
  }

  paintBase() {
    const { data, maps, shape } = this.shown;
    const [layers, heads, rows, cols] = shape;
    const { margin, header, above } = this.size;
    const context = contextUnder(this.base, this.canvas);
    context.imageSmoothingEnabled = false;
    context.fillStyle = this.colours.ink;
    context.font = `12px ${this.colours.font}`;
    context.textBaseline = "middle";
    for (let map = 0; map < layers * heads; map++) {
      const [layer, head] = cellAt(map, heads);
      const [x, y, width, height] = mapBox(this.size, layer, head);
      context.drawImage(maps, head * cols, layer * rows, cols, rows, x, y, width, height);
      context.textAlign = "center";
      if (data.wrapped) context.fillText(map, x + width / 2, y - above / 2);
      else if (layer === 0) context.fillText(head, x + width / 2, header / 2);
      context.textAlign = "right";
      if (!data.wrapped && head === 0) context.fillText(data.first + layer, margin - 6, y + height / 2);
    }
  }

  marksIn() {
    const { accent } = this.colours;
    const heads = this.shown.shape[1];
    const same = this.sameShape();
    const marks = new Map();
    for (const index of this.given.paint && same ? this.mask.cells : []) {
      const box = mapBox(this.size, ...cellAt(index, heads));
      marks.set(`painted ${index}`, { box, draw: (context) => drawStruckCell(context, box, accent) });
    }
    const chosen = this.given.paint || !same ? null : this.chosen;
    const hover = String(this.hover) === String(chosen) ? null : this.hover;
    for (const [at, colour, thick] of [[chosen, accent, 3], [hover, "#fff", 2]]) {
      if (!at) continue;
      const [layer, head] = at;
      const [x, y, width, height] = mapBox(this.size, layer, head ?? 0);
      // For the mean of a layer's heads, the whole row is framed.
      const across = head === null ? heads * (width + BOARD.GAP) - BOARD.GAP : width;
      const box = [x - 1, y - 1, across + 2, height + 2];
      marks.set(`frame ${at} ${colour}`, { box, draw: (context) => drawFrame(context, box, colour, thick) });
    }
    return marks;
  }

  // -> the position of an event on the board in CSS pixels, or null without a board
  placeOf(event) {
    if (!this.shown || !this.size) return null;
    const [y, x] = pointUnder(event, this.canvas, [this.size.height, this.size.width]);
    return [x, y];
  }

  headUnder(event) {
    const place = this.placeOf(event);
    return place && headAt(this.shown.shape, this.size, ...place);
  }

  pointAt(at) {
    if (String(at) === String(this.hover)) return;
    this.hover = at;
    this.redraw();
    this.describe();
  }

  key(event) {
    const step = STEPS[event.key];
    if (!step || !this.sameShape()) return;
    event.preventDefault();
    if (this.given.paint) {
      this.hover = this.hover ? neighbour(this.hover, step, this.given.shape) : [0, 0];
      this.reveal(this.hover);
      this.redraw();
      return this.describe(true);
    }
    const [layer, head] = this.chosen || [0, null];
    const at = neighbour([layer, head ?? 0], step, this.given.shape);
    this.reveal(at);
    this.pick(at, HELD_KEY_MS);
  }

  // Scrolls to a head that was selected by keyboard.
  reveal([, head]) {
    if (!this.size) return;
    const [x, , width] = mapBox(this.size, 0, head);
    const [left, right] = [x, x + width + BOARD.GAP];
    const { scrollLeft, clientWidth } = this.scroller;
    if (left < scrollLeft) this.scroller.scrollLeft = left - this.size.margin;
    else if (right > scrollLeft + clientWidth) this.scroller.scrollLeft = right - clientWidth;
  }

  pick(at, delay) {
    this.chosen = at;
    this.redraw();
    this.describe(true);
    this.reports.make(at, delay);
  }

  // aloud: whether it is announced, which is so after a key or a choice but not after a movement of the pointer
  describe(aloud = false) {
    const { state } = this.loader;
    const { data } = this.shown || { data: this.given };
    const text = this.shown ? this.reading() : this.placeholder;
    setText(this.readout, text);
    const spoken = [state === "failed" ? this.status.text : text];
    const [layers, heads] = this.given.shape;
    if (this.given.paint) spoken.push(this.words.format("marked_count", { count: this.mask.cells.size, total: layers * heads }));
    this.announcer.label(this.canvas, `${data.alt} ${spoken.join(" · ")}`);
    if (aloud) this.announcer.announce(spoken.join(" · "));
  }

  reading() {
    const label = (key, blanks) => this.words.format(key, blanks);
    const { data, payload, shape } = this.shown;
    const { paint } = this.given;
    const [, heads, rows, cols] = shape;
    const [layer, head] = this.hover || (this.sameShape() && this.chosen) || [0, null];
    if (head === null || (paint && !this.hover)) return paint ? paintHint(paint) : label(data.unit === "layer" ? "layers_hint" : "board_hint");
    const map = layer * heads + head;
    const place = data.wrapped ? label(`board_${data.unit}`, { head: map, layer: map }) : label("board_place", { layer: data.first + layer, head });
    if (this.loader.state !== "shown") return [place, label("loading")].join(" · ");
    const { arrays, meta } = payload;
    const values = arrays.values.subarray(map * rows * cols, (map + 1) * rows * cols);
    const peak = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
    const [rowNames, colNames] = data.places;
    const [row, col] = cellAt(peak, cols);
    const most = { value: number(values[peak]), row: rowNames[row] ?? row, col: colNames[col] ?? col };
    const facts = meta.facts.map((name, i) => `${name} ${number(arrays.facts[map * meta.facts.length + i])}`);
    const read = rows * cols > 1 ? label("most", most) : most.value; // a map of one value has no patch to name
    const marked = paint && this.sameShape() ? [label(this.mask.cells.has(map) ? "marked" : "unmarked")] : [];
    return [place, read, ...facts, ...marked].join(" · ");
  }
}

// All maps on one canvas, one pixel per patch: (layers * rows, heads * cols).
function paintMaps({ arrays, shapes, meta }, signed) {
  const [layers, heads, rows, cols] = shapes.values;
  const sheet = element("canvas", { width: heads * cols, height: layers * rows });
  const context = sheet.getContext("2d");
  const painter = new MapPainter();
  for (let map = 0; map < layers * heads; map++) {
    const values = arrays.values.subarray(map * rows * cols, (map + 1) * rows * cols);
    const [low, high, noise] = meta.scales[map];
    painter.fill(values, [rows, cols], { low, high, noise, signed });
    const [layer, head] = cellAt(map, heads);
    context.drawImage(painter.canvas, head * cols, layer * rows);
  }
  return sheet;
}
