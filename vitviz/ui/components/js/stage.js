// The picture with its patch grid, and the prefix tokens as chips above it.

import { element, setAttribute, setText, sizeCanvas, unitOf } from "./element.js";
import { drawLink } from "./links.js";
import { boxOf, colourOf, drawFrame, drawGrid, inkOn, MapPainter } from "./painting.js";
import { cellUnder, watchPointer } from "./pointer.js";
import { say, tokenWords } from "./say.js";
import { number, strongest } from "./scale.js";
import { cellOf, nameOf, tokenAt } from "./tokens.js";

const LINKS = 8;

export class Stage {
  // hover(name), leave(), tap(name): what the pointer does to a token of the source's layout.
  constructor({ hover, leave, tap }) {
    this.handlers = { hover, leave, tap };
    this.layout = null;
    this.chips = element("div", { class: "chips", role: "group", "aria-label": say("prefix_tokens") });
    this.canvas = element("canvas", { class: "picture", tabindex: "0", role: "application" });
    this.node = element("div", { class: "stage" }, this.chips, this.canvas);
    this.painter = new MapPainter();
    this.backdrop = document.createElement("canvas");
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
    this.node.style.width = `${width}px`;
    this.#arrangeChips(layout);
    if (sizeCanvas(this.canvas, width, height)) this.#drawBackdrop();
  }

  // The picture at the size it is shown in: scaling it anew for every frame would cost more than all the maps.
  #drawBackdrop() {
    const { width, height } = this.canvas;
    this.backdrop.width = width;
    this.backdrop.height = height;
    const context = this.backdrop.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (this.bitmap) context.drawImage(this.bitmap, 0, 0, width, height);
  }

  // marks: { target, pinned, blend }
  draw(answer, view, marks) {
    this.#arrangeChips(answer.layouts.source);
    this.#paintChips(answer, view, marks);
    const context = this.canvas.getContext("2d");
    const { source, target } = answer.layouts;
    const unit = unitOf(this.canvas);
    context.globalAlpha = 1;
    context.drawImage(this.backdrop, 0, 0);
    this.painter.fill(answer.patches(view.head), target.grid, answer.extent(view.head));
    context.globalAlpha = marks.blend;
    this.painter.drawOn(context);
    context.globalAlpha = 1;
    drawGrid(context, source.grid, unit);
    if (view.links) this.#drawLinks(context, answer, view, unit);
    const asked = cellOf(source, answer.source);
    if (asked) drawFrame(context, boxOf(source.grid, asked, this.canvas), marks.pinned ? "#ff4fa3" : "#ffffff", 2.5 * unit);
    const read = marks.target === null ? null : cellOf(target, marks.target);
    if (read) {
      context.setLineDash([3 * unit, 2 * unit]);
      drawFrame(context, boxOf(target.grid, read, this.canvas), "#ffe14d", 2 * unit);
    }
  }

  #drawLinks(context, answer, view, unit) {
    const { source, target } = answer.layouts;
    const values = answer.of(view.head);
    const chosen = strongest(values, LINKS);
    const here = this.#pointOf(source, answer.source);
    for (const token of chosen.reverse()) {
      const there = this.#pointOf(target, token);
      const strength = values[chosen.at(-1)] > 0 ? Math.max(0, values[token] / values[chosen.at(-1)]) : 0;
      const [query, key] = view.direction === "by" ? [there, here] : [here, there];
      drawLink(context, query, key, strength, unit);
    }
  }

  // A patch's centre; a prefix token lies above the picture, under its chip.
  #pointOf(layout, token) {
    const cell = cellOf(layout, token);
    if (cell) {
      const [x, y, width, height] = boxOf(layout.grid, cell, this.canvas);
      return [x + width / 2, y + height / 2];
    }
    const name = layout.prefix[token];
    const chip = [...this.chips.children].find((node) => node.dataset.token === name);
    const box = this.canvas.getBoundingClientRect();
    if (!chip || !box.width) return [this.canvas.width / 2, 0];
    const own = chip.getBoundingClientRect();
    const share = (own.left + own.width / 2 - box.left) / box.width;
    return [Math.min(0.98, Math.max(0.02, share)) * this.canvas.width, 0];
  }

  #arrangeChips(layout) {
    if (this.layout === layout) return;
    this.layout = layout;
    const { hover, leave, tap } = this.handlers;
    this.chips.replaceChildren(
      ...layout.prefix.map((name, token) =>
        element(
          "button",
          {
            class: "chip",
            type: "button",
            "data-token": name,
            onpointerenter: (event) => event.pointerType === "mouse" && hover(name),
            onpointerleave: leave,
            onclick: () => tap(name),
          },
          element("span", { class: "chip-name", text: tokenWords(layout, token) }),
          element("span", { class: "chip-value" }),
        ),
      ),
    );
    this.chips.hidden = layout.prefix.length === 0;
  }

  #paintChips(answer, view, { pinned, target: read }) {
    const { source, target } = answer.layouts;
    const values = answer.of(view.head);
    const extent = answer.extent(view.head);
    for (const chip of this.chips.children) {
      const name = chip.dataset.token;
      const there = target.prefix.indexOf(name);
      const asked = source.prefix.indexOf(name) === answer.source;
      chip.classList.toggle("asked", asked);
      chip.classList.toggle("read", there >= 0 && there === read);
      setAttribute(chip, "aria-pressed", asked && pinned);
      const value = chip.lastElementChild;
      setText(value, there >= 0 ? number(values[there], 2) : "");
      value.style.background = there >= 0 ? colourOf(values[there], extent) : "";
      value.style.color = there >= 0 ? inkOn(values[there], extent) : "";
    }
  }
}
