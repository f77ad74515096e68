// Parts of the journey that open in place of others: the heads of a layer, the pixels of a patch, its position compared
// with all others, and one class after each layer. Also the picture of features that a model without a classifier has
// in place of a prediction.

import { patchNamed } from "../core/layout.js";
import { extentWithout, number } from "../core/scale.js";
import { biasFrom, nearest, PatchVectors } from "../core/weights.js";
import { Loader, sourceOf } from "../data/source.js";
import { element, setAttribute, setText } from "../parts/dom.js";
import { clearedContext } from "../render/canvas.js";
import { MapPainter } from "../render/heat.js";
import { drawColumns, drawLayer, drawPixels, drawScaledMap, RAMP, ShareMap } from "../render/journey.js";
import { percent } from "./journey_data.js";
import { COMPACT, headSide } from "./journey_figure.js";
import { JourneyOverlay } from "./journey_overlay.js";

const FEATURES_SIDE = 150; // CSS pixels
const [LEAST_PIXELS, MOST_PIXELS] = [160, 300]; // CSS pixels of a patch in the view of its pixels
const [CURVE_HEIGHT, CURVE_TITLE] = [128, 22]; // CSS pixels, and of a second line of its title

export class JourneyDetails extends JourneyOverlay {
  // Paints the heads of the open layer, in place of the sequence.
  paintHeads() {
    const { heads } = this.figure;
    if (this.open === null) return;
    const layer = this.layers[this.open];
    const count = layer.weights?.heads ?? 0;
    const { sequence, sequenceHeight, narrow, frame, frameHeight } = this.size;
    const side = headSide(count, sequence, narrow ? sequence : sequenceHeight, frameHeight / frame);
    if (heads.childElementCount !== count || heads.dataset.layer !== String(this.open)) {
      heads.dataset.layer = this.open;
      heads.style.gridTemplateColumns = `repeat(auto-fill, ${side}px)`;
      const tiles = Array.from({ length: count }, (_, head) => {
        const canvas = element("canvas", { "aria-hidden": "true" });
        const text = element("span", { text: this.words.format("head", { head }) });
        return element("button", { type: "button", onclick: () => this.openPage("microscope", head) }, text, canvas);
      });
      heads.replaceChildren(...tiles);
      this.headMaps = tiles.map(() => new ShareMap());
    }
    if (!layer.weights) return;
    [...heads.children].forEach((tile, head) => {
      const shares = this.patchShares(this.open, this.query, head);
      this.drawIfChanged(`head ${head}`, [this.open, this.query, side], () => {
        const height = Math.round((side * this.size.frameHeight) / this.size.frame);
        const context = clearedContext(tile.lastElementChild, side, height);
        const map = this.headMaps[head];
        if (shares) map.fill(shares, layer.grid, this.uniformShare(this.open));
        drawLayer(context, side, height, { dark: this.darkFrame, map: shares && map, heat: 1, grid: layer.grid, marks: this.marks(layer.grid, 0, this.query), links: [] });
      });
    });
  }

  // -> the side in CSS pixels of what opens in place of the sequence; on a phone it may be higher than the sequence
  get openedSide() {
    const { narrow, sequence, sequenceHeight } = this.size;
    return Math.min(MOST_PIXELS, Math.max(LEAST_PIXELS, narrow ? sequence : sequenceHeight));
  }

  // Paints the pixels of the query patch, in place of the sequence.
  paintPixels() {
    const { figure, shown, words } = this;
    if (this.inPlace !== "pixels") return;
    const cell = patchNamed(this.query ?? "") ?? patchNamed(shown.data.follow);
    const [high, wide] = shown.data.layout.patch_size;
    const side = this.openedSide;
    this.drawIfChanged("pixels", [cell, side, shown.data.question], () => {
      const patch = this.patchTitle(cell);
      const context = clearedContext(figure.pixelCanvas, (side * wide) / Math.max(high, wide), (side * high) / Math.max(high, wide));
      drawPixels(context, { picture: shown.picture, grid: this.grid, cell, pixels: [high, wide], side: side / Math.max(high, wide) });
      const text = words.format("pixels_note", { high, wide, numbers: high * wide * shown.data.channels });
      setText(figure.sequenceTitle, words.format("pixels_title", { patch }));
      setText(figure.pixelsNote, text);
      setAttribute(figure.pixelCanvas, "aria-label", `${words.format("pixels_title", { patch })}: ${text}`);
    });
  }

  patchTitle([row, col]) {
    return this.words.format(this.size.width < COMPACT ? "patch_short" : "patch", { row, col });
  }

  // Loads the data for the comparison of positions when it is opened. They depend on the model only, not on the photograph.
  loadPositions() {
    const url = this.shown?.data.position_map;
    if (!url) this.inPlace = null;
    if (!url || this.positions?.url === url) return;
    this.positions?.loader.stop();
    const loader = new Loader(sourceOf(this.host), {
      arrived: (_, { positions }) => {
        this.positions.numbers = positions;
        this.positions.vectors = positions.arrays.features ? new PatchVectors(positions) : null;
        this.repaint();
        this.announcer.announce(this.positionsText());
      },
      changed: () => this.showStatus(),
      stale: () => this.host.stale(),
    });
    this.positions = { url, loader, numbers: null };
    loader.load({ urls: { positions: url } });
  }

  // -> the patch whose position is compared (the query), the values of all patches, and the patch under the pointer if another one
  // is pinned. The values are null while loading, and NaN for patches that cannot be compared.
  get compared() {
    const [pinned, pointed] = [patchNamed(this.pinned ?? ""), patchNamed(this.hovered ?? "")];
    const cell = pinned ?? pointed ?? patchNamed(this.shown.data.follow);
    const { numbers, vectors, of, values: kept } = this.positions ?? {};
    const indexOf = ([row, col]) => row * this.grid[1] + col;
    const own = indexOf(cell);
    const values = of === own ? kept : vectors ? vectors.similarities(own) : numbers ? biasFrom(numbers, cell, this.grid) : null;
    if (values) Object.assign(this.positions, { of: own, values });
    return { cell, own, values, pinned: pinned !== null, target: pinned && pointed && own !== indexOf(pointed) ? pointed : null, indexOf };
  }

  // -> the patch under the pointer in the map of positions; the canvas also contains a scale below the map
  cellInPositions(event) {
    const { left, top, width, height } = event.target.getBoundingClientRect();
    const [rows, cols] = this.grid;
    const [row, col] = [((event.clientY - top) / (height - RAMP)) * rows, ((event.clientX - left) / width) * cols].map(Math.floor);
    return row >= 0 && row < rows && col >= 0 && col < cols ? [row, col] : null;
  }

  // -> the sentence below the map of positions
  positionsText() {
    const { cell, own, values, target, indexOf } = this.compared;
    const { words } = this;
    const kind = this.shown.data.positions;
    if (!values) return words.format("positions_loading");
    const named = ([row, col]) => words.format("patch", { row, col });
    const best = nearest(values.map((value) => (Number.isNaN(value) ? -Infinity : value)), own);
    const other = target ?? [Math.floor(best / this.grid[1]), best % this.grid[1]];
    const value = values[indexOf(other)];
    if (target === null && Number.isNaN(value)) return words.format("positions_more");
    if (Number.isNaN(value)) return words.format("positions_apart", { patch: named(cell), other: named(other) });
    return words.format(`positions_${kind}${target ? "_of" : ""}`, { patch: named(cell), other: named(other), value: value.toFixed(2) });
  }

  // Paints the comparison of the query patch's position with all others, in place of the sequence.
  paintPositions() {
    const { figure, shown, words } = this;
    if (this.inPlace !== "positions") return;
    const { cell, own, values, target, pinned } = this.compared;
    const theme = this.host.theme();
    const side = this.openedSide - RAMP;
    this.drawIfChanged("positions", [cell, target, side, values !== null, pinned, theme.ink, shown.data.position_map], () => {
      const [rows, cols] = this.grid;
      const [wide, high] = [(side * cols) / Math.max(rows, cols), (side * rows) / Math.max(rows, cols)];
      const [title, text] = [words.format("positions_title", { patch: this.patchTitle(cell) }), this.positionsText()];
      setText(figure.sequenceTitle, title);
      setText(figure.positionsText, text);
      const { heads, whole, window: reach } = this.positions?.numbers?.meta ?? {};
      const note = { rotary: heads > 1 ? "_heads" : "", relative: whole === false ? "_window" : "" }[shown.data.positions] ?? "";
      setText(figure.positionsNote, words.format(`positions_note_${shown.data.positions}${note}`, { rows: reach?.[0], cols: reach?.[1] }));
      this.announcer.label(figure.positionsCanvas, `${title}: ${text}`);
      const context = clearedContext(figure.positionsCanvas, wide, high + RAMP);
      if (!values) return;
      const { low, high: most } = extentWithout(values, this.positions.vectors ? own : -1);
      if (low > most) return; // no patch can be compared
      (this.positionMap ??= new MapPainter()).fill(values, this.grid, { low, high: most, signed: false });
      const marks = [{ cell, kind: pinned ? "pinned" : "query" }, ...(target ? [{ cell: target, kind: "hover" }] : [])];
      drawScaledMap(context, wide, high, { map: this.positionMap, grid: this.grid, marks, ends: [low, most].map((end) => number(end)), ink: theme.ink, font: theme.font });
    });
  }

  // Paints the values of one class after each layer, in place of the bars. step: index of the shown layer's values, or -1.
  paintCurve(step) {
    const { figure, words, size } = this;
    const { answer } = this.shown.data;
    const values = step >= 0 && this.curve !== null ? answer.curves?.[this.curve] : null;
    if (figure.curve.hidden === Boolean(values)) {
      figure.curve.hidden = !values;
      figure.bars.hidden = Boolean(values);
    }
    if (!values) return;
    const { accent, ink } = this.host.theme();
    const text = (at) => (answer.probability ? percent(values[at]) : values[at].toFixed(2));
    const height = CURVE_HEIGHT - (size.width < COMPACT && !size.narrow ? CURVE_TITLE : 0);
    this.drawIfChanged("curve", [this.curve, step, size.answer, values, accent, ink], () => {
      setText(figure.curveTitle, words.format("curve_title", { name: this.curve, value: text(step) }));
      const context = clearedContext(figure.curveCanvas, size.answer, height);
      drawColumns(context, { values, step, width: size.answer, height, accent, ink });
      const spoken = values.map((_, at) => (at ? words.format("curve_layer", { layer: at - 1, value: text(at) }) : words.format("curve_input", { value: text(at) })));
      setAttribute(figure.curveCanvas, "aria-label", `${this.curve}. ${spoken.join(", ")}`);
    });
  }

  // Paints the picture of features of a model without a classifier, after all layers.
  paintFeatures() {
    const { figure, shown, size } = this;
    const { features } = shown;
    const has = Boolean(features);
    if (figure.features.hidden === has) {
      figure.features.hidden = !has;
      figure.bars.hidden = has;
    }
    if (!features) return;
    const done = this.reached >= this.timeline.end;
    const side = Math.min(size.answer, FEATURES_SIDE);
    const height = Math.round((side * size.photoHeight) / size.photo);
    this.drawIfChanged("features", [done, side, height, shown.data.features], () => {
      const context = clearedContext(figure.features, side, height);
      context.imageSmoothingEnabled = false;
      context.fillStyle = "rgba(128, 128, 128, 0.15)";
      if (done) context.drawImage(features, 0, 0, side, height);
      else context.fillRect(0, 0, side, height);
      setAttribute(figure.features, "aria-label", this.words.format(done ? "features_label" : "features_title"));
    });
  }
}
