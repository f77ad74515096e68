// The picture: a photograph under its patch grid, with a heat map over it. Point for the value, click to choose a patch.

import { Brush, handle, strike } from "./brush.js";
import { element } from "./element.js";
import { clamp, fill, load, mounted, paintScale, sized, stepOf } from "./exhibit.js";
import { onceAFrame } from "./frames.js";
import { WORDS } from "./given.js";
import { cellThere, Link, placeOf } from "./link.js";
import { boxOf, drawFrame, drawSegments, MapPainter } from "./painting.js";
import { number } from "./scale.js";

const PREFERRED_BLEND = 0.65;

class Picture {
  constructor(parent) {
    this.hover = null; // [row, col]
    this.blend = PREFERRED_BLEND;
    this.canvas = element("canvas", { class: "main", tabindex: 0, role: "img" });
    this.chips = element("div", { class: "chips", role: "group", "aria-label": WORDS.tokens });
    this.scale = element("div", { class: "scale" });
    this.readout = element("div", { class: "readout", "aria-live": "polite" });
    const oninput = (event) => {
      this.blend = event.target.value / 100;
      this.redraw();
      this.link.say({ blend: this.blend });
    };
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 100 * PREFERRED_BLEND, oninput });
    this.blending = element("label", { class: "blend" }, element("span", { text: WORDS.blend }), this.slider);
    this.root = element("div", { class: "exhibit" }, this.chips, this.canvas, this.scale, this.readout, this.blending);
    this.painter = new MapPainter();
    parent.append(this.root);
    this.redraw = onceAFrame(() => this.draw());
    this.link = new Link((news) => this.follow(news));
    this.brush = new Brush(
      () => this.redraw(),
      (cells) => this.component.setTriggerValue("picked", cells),
    );
    const index = (cell) => cell && cell[0] * this.given.cols + cell[1];
    handle(this.canvas, this.brush, {
      cellAt: (event) => index(this.cellAt(event)),
      cursor: () => index(this.hover),
      painting: () => this.given.paint !== null,
    });
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.pointNowhere());
    this.canvas.addEventListener("click", (event) => {
      const cell = this.given.paint === null ? this.cellAt(event) : null;
      if (cell) this.pick(nameOf(cell), 0);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.watcher = new ResizeObserver(() => this.redraw());
    this.watcher.observe(this.root);
  }

  close() {
    this.watcher.disconnect();
    this.link.leave();
    this.brush.close();
    clearTimeout(this.sending);
    this.root.remove();
  }

  show(component, data) {
    this.component = component;
    this.given = data;
    this.link.group = data.link;
    if (!this.sending) this.chosen = data.chosen;
    if (data.paint) this.brush.show(data.paint.cells);
    this.blending.hidden = !data.heat || data.one_of_many;
    this.paintChips();
    Promise.all([load(data.url), data.heat && load(data.heat.url)]).then(
      ([{ picture }, heat]) => {
        if (this.given !== data) return;
        this.picture = picture;
        this.values = heat && heat.arrays.values;
        if (heat) this.painter.fill(this.values, [data.rows, data.cols], data.heat);
        paintScale(this.scale, data.heat);
        this.draw();
        this.say();
        this.root.dataset.ready = data.heat ? data.heat.url : data.url;
      },
      () => {
        if (this.given === data) this.readout.textContent = WORDS.gone;
      },
    );
  }

  paintChips() {
    const chips = this.given.prefix.map(({ name, label }) =>
      element("button", {
        class: "chip",
        type: "button",
        text: label,
        "data-token": name,
        "aria-pressed": String(this.chosen === name),
        onclick: () => this.pick(name, 0),
      }),
    );
    this.chips.replaceChildren(...chips);
    this.chips.hidden = !chips.length;
  }

  draw() {
    if (!this.picture || !this.root.clientWidth) return;
    const { rows, cols, grid, heat, marks, ratio, widest } = this.given;
    const { picture } = this;
    const width = Math.min(this.root.clientWidth, widest), height = Math.round(width / ratio);
    const pen = sized(this.canvas, width, height);
    pen.imageSmoothingEnabled = true;
    if (heat) pen.filter = "grayscale(1)";
    pen.drawImage(picture, 0, 0, width, height);
    pen.filter = "none";
    if (grid.dim) {
      pen.fillStyle = getComputedStyle(this.root).getPropertyValue("--st-background-color") || "#fff";
      pen.globalAlpha = grid.dim;
      pen.fillRect(0, 0, width, height);
      pen.globalAlpha = 1;
    }
    if (heat) {
      pen.imageSmoothingEnabled = false;
      pen.globalAlpha = this.blend;
      pen.drawImage(this.painter.canvas, 0, 0, width, height);
      pen.globalAlpha = 1;
    }
    this.cell = [height / rows, width / cols];
    if (grid.line) this.drawCuts(pen, width, height, grid.line);
    const accent = getComputedStyle(this.root).getPropertyValue("--st-primary-color") || "#d6006c";
    const boxed = (cell) => boxOf([rows, cols], cell, { width, height });
    const chosen = cellOf(this.chosen);
    if (chosen && grid.dim) {
      // The patch under discussion stays as it is while the rest sinks into the page.
      pen.drawImage(picture, ...boxOf([rows, cols], chosen, picture), ...boxed(chosen));
    }
    if (this.given.paint) {
      for (const index of this.brush.cells) strike(pen, boxed([Math.floor(index / cols), index % cols]), accent);
    }
    drawSegments(pen, grid.walls, [rows, cols], { width, height });
    drawSegments(pen, grid.contour, [rows, cols], { width, height }, "#2fd4ff");
    for (const mark of marks) drawFrame(pen, boxed(mark), "#ffffff", 1);
    if (chosen) drawFrame(pen, boxed(chosen), accent, 3);
    if (this.hover) drawFrame(pen, boxed(this.hover), "#ffffff", 2);
  }

  drawCuts(pen, width, height, line) {
    const { rows, cols } = this.given;
    pen.fillStyle = getComputedStyle(this.root).getPropertyValue("--st-background-color") || "#fff";
    for (let row = 1; row < rows; row++) pen.fillRect(0, (row * height) / rows - line / 2, width, line);
    for (let col = 1; col < cols; col++) pen.fillRect((col * width) / cols - line / 2, 0, line, height);
  }

  cellAt(event) {
    if (!this.cell) return null;
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / this.cell[0]);
    const col = Math.floor((event.clientX - box.left) / this.cell[1]);
    const inside = row >= 0 && col >= 0 && row < this.given.rows && col < this.given.cols;
    return inside ? [row, col] : null;
  }

  point(event) {
    const cell = this.cellAt(event);
    if (String(cell) !== String(this.hover)) this.pointAt(cell);
  }

  pointNowhere() {
    this.pointAt(null);
  }

  pointAt(cell) {
    this.hover = cell;
    this.redraw();
    this.say();
    this.link.say({ hover: placeOf(cell, [this.given.rows, this.given.cols]) });
  }

  // What a linked picture said: where its cursor is, which patch was chosen there, how strong its map is painted.
  follow({ hover, chosen, blend }) {
    if (!this.given) return;
    const grid = [this.given.rows, this.given.cols];
    if (hover !== undefined) this.hover = cellThere(hover, grid);
    if (chosen) this.chosen = nameOf(cellThere(chosen, grid));
    if (blend !== undefined) {
      this.blend = blend;
      this.slider.value = 100 * blend;
    }
    this.redraw();
    this.say();
  }

  key(event) {
    const step = stepOf(event.key);
    const { rows, cols, prefix } = this.given;
    if (step && this.given.paint) {
      const [row, col] = this.hover || [Math.floor(rows / 2), Math.floor(cols / 2)];
      this.pointAt(this.hover ? [clamp(row + step[0], rows), clamp(col + step[1], cols)] : [row, col]);
    } else if (step) {
      const [row, col] = cellOf(this.chosen) || [Math.floor(rows / 2), Math.floor(cols / 2)];
      this.pick(nameOf([clamp(row + step[0], rows), clamp(col + step[1], cols)]), 200);
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
    this.say();
    this.paintChips();
    this.link.say({ chosen: placeOf(cellOf(name), [this.given.rows, this.given.cols]) });
    clearTimeout(this.sending);
    this.sending = setTimeout(() => {
      this.sending = 0;
      this.component.setTriggerValue("picked", name);
    }, delay);
  }

  say() {
    const { heat, cols, alt } = this.given;
    const cell = this.hover || cellOf(this.chosen);
    if (cell) {
      const place = fill(WORDS.place, { row: cell[0], col: cell[1] });
      const value = heat && this.values ? ` · ${number(this.values[cell[0] * cols + cell[1]])}` : "";
      this.readout.textContent = place + value;
    } else if (this.given.paint) {
      this.readout.textContent = this.given.paint.hint;
    } else {
      // Among many pictures the page says it once.
      this.readout.textContent = this.given.one_of_many ? "\u00a0" : WORDS.hint;
    }
    this.canvas.setAttribute("aria-label", `${alt} ${this.readout.textContent}`);
  }
}

function nameOf([row, col]) {
  return `r${row}c${col}`;
}

function cellOf(name) {
  const found = /^r(\d+)c(\d+)$/.exec(name || "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}

export default mounted(Picture);
