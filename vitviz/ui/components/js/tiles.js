// One small map for each head, and one for their mean.

import { element, setAttribute, setText, sizeCanvas, unitOf } from "./element.js";
import { boxOf, drawFrame, MapPainter } from "./painting.js";
import { cellUnder, watchPointer } from "./pointer.js";
import { headWords, say } from "./say.js";
import { number } from "./scale.js";
import { cellOf, nameOf, tokenAt } from "./tokens.js";

const GAP = 8;
const CAPTION = 20;
const WORDY = 124; // CSS pixels of a map under which its whole caption fits
const SMALLEST = 44; // and of any map: a patch of 16 x 16 can still be told from the next
const NAMED = 90; // and under which at least the head's name does

export class Tiles {
  // hover(name, head), leave(): a target under the pointer. choose(head): a tap on a map.
  constructor({ hover, leave, choose }) {
    this.handlers = { hover, leave, choose };
    this.node = element("div", { class: "tiles", role: "group", "aria-label": say("maps") });
    this.tiles = [];
    this.painter = new MapPainter();
  }

  #build(heads) {
    if (this.tiles.length === heads + 1) return false;
    this.tiles = ["mean", ...Array(heads).keys()].map((head) => {
      const canvas = element("canvas");
      const name = element("span", { class: "name", text: headWords(head) });
      const value = element("span", { class: "top" });
      const caption = element("span", { class: "caption" }, name, value);
      // Not in the tab order: the list of heads and the digit keys do the same without a dozen stops.
      const node = element("button", { class: "tile", type: "button", tabindex: "-1", "data-head": head }, canvas, caption);
      const onCell = (event) => {
        const cell = this.layout && cellUnder(event, canvas, this.layout.grid);
        if (cell) this.handlers.hover(nameOf(this.layout, tokenAt(this.layout, ...cell)), head);
      };
      watchPointer(canvas, { hover: onCell, leave: this.handlers.leave, tap: () => this.handlers.choose(head) });
      return { head, node, canvas, name, value };
    });
    this.node.replaceChildren(...this.tiles.map((tile) => tile.node));
    return true;
  }

  #shown(view) {
    return this.tiles.filter(({ head }) => (view.head === "all" ? head !== "mean" : head === view.head));
  }

  // Sizes the maps to fill (width, height); aspect is height over width of one map. Without a height they are 100 wide or so.
  arrange(heads, view, width, height, aspect) {
    this.#build(heads);
    const shown = this.#shown(view);
    for (const { node } of this.tiles) node.hidden = true;
    for (const { node } of shown) node.hidden = false;
    const [columns, size] = best(shown.length, width, height, aspect);
    this.node.style.gridTemplateColumns = `repeat(${columns}, ${size}px)`;
    this.small = size < WORDY;
    for (const { head, canvas, name } of shown) {
      sizeCanvas(canvas, size, Math.round(size * aspect));
      setText(name, size < NAMED && head !== "mean" ? String(head) : headWords(head));
    }
  }

  // marks: { target, tile }, tile being the head whose map the pointer is on.
  draw(answer, view, marks) {
    const { source, target } = answer.layouts;
    this.layout = target;
    const asked = source === target ? cellOf(source, answer.source) : null;
    const read = marks.target === null ? null : cellOf(target, marks.target);
    for (const { head, canvas, value, node } of this.#shown(view)) {
      const context = canvas.getContext("2d");
      const unit = unitOf(canvas);
      this.painter.fill(answer.patches(head), target.grid, answer.extent(head));
      this.painter.drawOn(context);
      if (asked) drawFrame(context, boxOf(target.grid, asked, canvas), marks.pinned ? "#ff4fa3" : "#ffffff", 1.5 * unit);
      if (read) drawFrame(context, boxOf(target.grid, read, canvas), "#ffe14d", 1.5 * unit);
      const values = answer.of(head);
      const shown = number(marks.target === null ? top(answer.patches(head)) : values[marks.target], this.small ? 2 : 3);
      setText(value, marks.target === null && !this.small ? say("top", { value: shown }) : shown);
      setAttribute(node, "aria-pressed", head === view.head);
    }
  }
}

function top(values) {
  let most = values[0];
  for (const value of values) if (value > most) most = value;
  return most;
}

// [columns, width] of the widest maps that fit; where they would be smaller than can be pointed at, they go on below.
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
