// The board: one small map for each head of each layer. Point for the numbers, click to enlarge.

import { Brush, handle, strike } from "./brush.js";
import { element } from "./element.js";
import { clamp, fill, load, mounted, paintScale, sized, stepOf } from "./exhibit.js";
import { onceAFrame } from "./frames.js";
import { WORDS } from "./given.js";
import { drawFrame, MapPainter } from "./painting.js";
import { number } from "./scale.js";

const GAP = 3;
const MARGIN = 26;
const HEADER = 18;

class Board {
  constructor(parent) {
    this.hover = null; // [layer, head]
    this.canvas = element("canvas", { class: "main", tabindex: 0, role: "img" });
    this.scale = element("div", { class: "scale" });
    this.readout = element("div", { class: "readout", "aria-live": "polite" });
    this.root = element("div", { class: "exhibit" }, this.canvas, this.scale, this.readout);
    parent.append(this.root);
    this.redraw = onceAFrame(() => this.draw());
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.redraw();
      this.say();
    });
    this.brush = new Brush(
      () => this.redraw(),
      (heads) => this.component.setTriggerValue("picked", heads),
    );
    const index = (at) => at && at[0] * this.payload.shapes.values[1] + at[1];
    handle(this.canvas, this.brush, {
      cellAt: (event) => index(this.headAt(event)),
      cursor: () => index(this.hover),
      painting: () => this.given.paint !== null,
    });
    this.canvas.addEventListener("click", (event) => {
      const at = this.given.paint === null ? this.headAt(event) : null;
      if (at) this.pick(at, 0);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.watcher = new ResizeObserver(() => this.redraw());
    this.watcher.observe(this.root);
  }

  close() {
    this.watcher.disconnect();
    this.brush.close();
    clearTimeout(this.sending);
    this.root.remove();
  }

  show(component, data) {
    this.component = component;
    this.given = data;
    if (!this.sending) this.chosen = data.chosen;
    if (data.paint) this.brush.show(data.paint.cells);
    load(data.url).then(
      (payload) => {
        if (this.given !== data) return;
        this.payload = payload;
        this.tiles = this.paintTiles(payload);
        paintScale(this.scale, data.heat);
        this.draw();
        this.say();
        this.root.dataset.ready = data.url;
      },
      () => {
        if (this.given === data) this.readout.textContent = WORDS.gone;
      },
    );
  }

  // All maps on one sheet, one pixel a patch: (layers * rows, heads * cols).
  paintTiles({ arrays, shapes }) {
    const [layers, heads, rows, cols] = shapes.values;
    const sheet = new OffscreenCanvas(heads * cols, layers * rows);
    const pen = sheet.getContext("2d");
    const painter = new MapPainter();
    const { signed } = this.given.heat;
    for (let map = 0; map < layers * heads; map++) {
      const values = arrays.values.subarray(map * rows * cols, (map + 1) * rows * cols);
      painter.fill(values, [rows, cols], { low: arrays.low[map], high: arrays.high[map], signed });
      pen.drawImage(painter.canvas, (map % heads) * cols, Math.floor(map / heads) * rows);
    }
    return sheet;
  }

  draw() {
    if (!this.payload || !this.root.clientWidth) return;
    const [layers, heads, rows, cols] = this.payload.shapes.values;
    const room = (this.root.clientWidth - MARGIN) / heads - GAP;
    const tall = this.given.tallest / layers - GAP; // the whole board is to be seen at once
    const wide = Math.max(12, Math.floor(Math.min(room, (tall * cols) / rows)));
    const high = Math.round((wide * rows) / cols);
    this.pitch = [high + GAP, wide + GAP];
    const style = getComputedStyle(this.root);
    const accent = style.getPropertyValue("--st-primary-color") || "#d6006c";
    const pen = sized(this.canvas, MARGIN + heads * (wide + GAP), HEADER + layers * (high + GAP));
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = style.color;
    pen.font = `12px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    pen.textAlign = "center";
    for (let head = 0; head < heads; head++) pen.fillText(head, MARGIN + head * (wide + GAP) + wide / 2, HEADER / 2);
    pen.textAlign = "right";
    for (let layer = 0; layer < layers; layer++) {
      const top = HEADER + layer * (high + GAP);
      pen.fillText(this.given.wrapped ? layer * heads : this.given.first + layer, MARGIN - 6, top + high / 2);
      for (let head = 0; head < heads; head++) {
        const left = MARGIN + head * (wide + GAP);
        pen.drawImage(this.tiles, head * cols, layer * rows, cols, rows, left, top, wide, high);
      }
    }
    for (const index of this.given.paint ? this.brush.cells : []) {
      const [top, left] = [Math.floor(index / heads), index % heads];
      strike(pen, [MARGIN + left * (wide + GAP), HEADER + top * (high + GAP), wide, high], accent);
    }
    for (const [at, colour, thick] of [[this.given.paint ? null : this.chosen, accent, 3], [this.hover, "#fff", 2]]) {
      if (!at) continue;
      const [layer, head] = at;
      const every = head === null; // the mean of a layer's heads: its whole row is framed
      const left = MARGIN + (every ? 0 : head) * (wide + GAP);
      const across = every ? heads * (wide + GAP) - GAP : wide;
      drawFrame(pen, [left - 1, HEADER + layer * (high + GAP) - 1, across + 2, high + 2], colour, thick);
    }
  }

  headAt(event) {
    if (!this.pitch) return null;
    const box = this.canvas.getBoundingClientRect();
    const layer = Math.floor((event.clientY - box.top - HEADER) / this.pitch[0]);
    const head = Math.floor((event.clientX - box.left - MARGIN) / this.pitch[1]);
    const [layers, heads] = this.payload.shapes.values;
    return layer >= 0 && head >= 0 && layer < layers && head < heads ? [layer, head] : null;
  }

  point(event) {
    const at = this.headAt(event);
    if (String(at) === String(this.hover)) return;
    this.hover = at;
    this.redraw();
    this.say();
  }

  key(event) {
    const step = stepOf(event.key);
    if (!step || !this.payload) return;
    const [layers, heads] = this.payload.shapes.values;
    event.preventDefault();
    if (this.given.paint) {
      const [layer, head] = this.hover || [-step[0], -step[1]]; // the first arrow goes to the first head
      this.hover = [clamp(layer + step[0], layers), clamp(head + step[1], heads)];
      this.redraw();
      return this.say();
    }
    const [layer, head] = this.chosen || [0, null];
    this.pick([clamp(layer + step[0], layers), clamp((head ?? 0) + step[1], heads)], 200);
  }

  pick(at, delay) {
    this.chosen = at;
    this.redraw();
    this.say();
    clearTimeout(this.sending);
    this.sending = setTimeout(() => {
      this.sending = 0;
      this.component.setTriggerValue("picked", at);
    }, delay);
  }

  say() {
    const [layer, head] = this.hover || this.chosen || [0, null];
    if (!this.payload || head === null || (this.given.paint && !this.hover)) {
      this.readout.textContent = this.given.paint ? this.given.paint.hint : WORDS.board_hint;
    } else {
      const { arrays, shapes, meta } = this.payload;
      const [, heads, rows, cols] = shapes.values;
      const map = layer * heads + head;
      const values = arrays.values.subarray(map * rows * cols, (map + 1) * rows * cols);
      const peak = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
      const [rowNames, colNames] = this.given.places;
      const [row, col] = [Math.floor(peak / cols), peak % cols];
      const most = { value: number(values[peak]), row: rowNames[row] ?? row, col: colNames[col] ?? col };
      const facts = meta.facts.map((name, i) => `${name} ${number(arrays.facts[map * meta.facts.length + i])}`);
      const read = rows * cols > 1 ? fill(WORDS.most, most) : most.value; // a single number has no place
      const place = this.given.wrapped ? fill(WORDS.board_head, { head: map }) : fill(WORDS.board_place, { layer: this.given.first + layer, head });
      this.readout.textContent = [place, read, ...facts].join(" · ");
    }
    this.canvas.setAttribute("aria-label", `${this.given.alt} ${this.readout.textContent}`);
  }
}

export default mounted(Board);
