// Connections between the parts of the journey: patches that move to the sequence, marks of the query and its strongest targets,
// and lines from the sequence to the map of a layer and from there to the prediction.

import { patchNamed } from "../core/layout.js";
import { FIRST_LAYER, PATCHES } from "../core/timeline.js";
import { setAttribute } from "../parts/dom.js";
import { clearedContext } from "../render/canvas.js";
import { drawMovingPatches, placeInSequence, rounded } from "../render/journey.js";
import { JourneyData, LINKS } from "./journey_data.js";
import { CELL_GAP } from "./journey_figure.js";

export const LINE_GAP = 5; // CSS pixels between two lines of the sequence

export class JourneyOverlay extends JourneyData {
  // Calls `draw` if `state`, joined to a text, differs from the last call for that name.
  drawIfChanged(name, state, draw) {
    const text = state.join("|");
    if (this.drawn.get(name) === text) return;
    this.drawn.set(name, text);
    draw();
  }

  marks(grid, layer, asked) {
    const there = (name) => {
      const cell = name && patchNamed(name);
      return cell && [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
    };
    const marks = [];
    const query = there(asked);
    if (query && (layer >= 0 || this.pinned || this.hovered)) marks.push({ cell: query, kind: this.pinned ? "pinned" : "query" });
    const pointed = there(this.targetOf(asked));
    if (pointed) marks.push({ cell: pointed, kind: "hover" });
    return marks;
  }

  links(layer, grown, query) {
    const shares = this.patchShares(layer, query);
    const cell = query && patchNamed(query);
    if (!shares || !cell || grown <= 0) return [];
    const { grid } = this.layers[layer];
    const from = [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
    const cells = this.strongestCells(layer, shares).filter(([row, col]) => row !== from[0] || col !== from[1]);
    return cells.slice(0, LINKS).map((to, rank) => ({ from, to, grown, strength: 1 - rank / LINKS }));
  }

  // Paints the canvases over the figure: moving patches, marks in the sequence, and the lines of the pinned token.
  paintOverlay() {
    const { timeline, shown, figure, boxes, lines, size } = this;
    const moving = timeline.progress(PATCHES) > 0 && timeline.at < 1;
    if (figure.movingPatches.hidden === moving) figure.movingPatches.hidden = !moving;
    this.drawIfChanged("movingPatches", moving ? [timeline.at.toFixed(4)] : [], () => {
      if (!moving) return;
      const context = clearedContext(figure.movingPatches, boxes.root.width, boxes.root.height);
      drawMovingPatches(context, { picture: shown.picture, grid: this.grid, progress: timeline.progress(PATCHES), from: boxes.photo, to: boxes.sequence, lines, gap: LINE_GAP });
    });
    const { layer } = timeline;
    const way = layer >= 0 && this.open === null && this.inPlace === null;
    const progress = layer >= 0 ? timeline.progress(layer + FIRST_LAYER) : 0;
    const { query } = this;
    const inSequence = (name) => {
      const cell = name && this.open === null && this.inPlace === null && patchNamed(name);
      if (!cell) return null;
      const [x, y, side] = placeInSequence(cell[0] * this.grid[1] + cell[1], lines, LINE_GAP);
      return { x: boxes.sequence.x + x - 0.5, y: boxes.sequence.y + y - 0.5, side: Math.max(2, side - 0.5) };
    };
    const marked = inSequence(timeline.at >= 1 || this.pinned || this.hovered ? query : null);
    const pointed = inSequence(this.targetOf(query));
    const answer = way && this.barsShown ? Math.min(1, 1.5 * progress) : 0;
    const { scrolled } = figure;
    this.drawIfChanged("ways", [way, layer, answer.toFixed(2), size.narrow && scrolled, marked && [marked.x, marked.y], pointed && [pointed.x, pointed.y]], () => {
      const { ways, ends } = figure;
      for (const [name, box] of Object.entries({ marked, pointed })) {
        setAttribute(ways[name], "visibility", box ? "visible" : "hidden");
        if (box) for (const [key, value] of Object.entries({ x: box.x, y: box.y, width: box.side, height: box.side })) ways[name].setAttribute(key, value);
      }
      const there = way ? this.pathToLayer(layer) : null;
      const start = there && marked ? [marked.x + marked.side / 2, boxes.sequence.y + boxes.sequence.height + 2] : null;
      ways.drop.setAttribute("d", start ? `M${start[0]} ${marked.y + 2 * marked.side}V${start[1]}` : "");
      ways.way.setAttribute("d", start ? rounded([start, [start[0], there.gutter], ...there.down]) : "");
      const last = there?.down.at(-1);
      const toBars = there && this.pathToBars(last);
      const end = toBars?.at(-1);
      ways.answer.setAttribute("d", answer ? rounded(toBars) : "");
      ways.answer.setAttribute("stroke-dasharray", `${answer} 1`);
      [start && last, answer === 1 && end].forEach((at, i) => {
        setAttribute(ends[i], "visibility", at ? "visible" : "hidden");
        if (at) for (const [axis, name] of ["cx", "cy"].entries()) ends[i].setAttribute(name, at[axis]);
      });
    });
  }

  // -> points of the line to the map of a layer: along the gutter above the grid of layers, then down between two columns to the
  // layer's row. It ends above the map; on a phone, at the layer's scrolled position.
  pathToLayer(layer) {
    const { frames, layerGrid } = this.boxes;
    const { x, y, width } = frames[layer];
    const gutter = layerGrid.y - 3;
    if (this.size.narrow) {
      const middle = x + width / 2 - (this.figure.scrolled - this.boxes.scrolled);
      return { gutter, down: [[Math.max(layerGrid.x, Math.min(layerGrid.x + layerGrid.width, middle)), gutter]] };
    }
    const row = Math.floor(layer / this.size.columns);
    if (!row) return { gutter, down: [[x + width / 2, gutter]] };
    const [between, above] = [x + width + CELL_GAP / 2, y - 22];
    return { gutter, down: [[between, gutter], [between, above], [x + width / 2, above]] };
  }

  // -> points of the line from above a map to the bars: beside the maps, or on a phone below them
  pathToBars(from) {
    const { bars, layerGrid } = this.boxes;
    if (!this.size.narrow) return [from, [bars.x - 14, from[1]], [bars.x - 14, bars.y + 26]];
    const below = layerGrid.y + layerGrid.height;
    return [[from[0], below], [from[0], below + 10], [bars.x + 3, below + 10], [bars.x + 3, bars.y]]; // around the map
  }
}
