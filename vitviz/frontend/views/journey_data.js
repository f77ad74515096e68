// Computation for the journey: the query token, its attention shares in every layer, and the texts with their values. Attention
// weights are computed in the browser from queries and keys. Nothing is drawn here.

import { patchName, patchNamed, tokenNamed } from "../core/layout.js";
import { strongest } from "../core/scale.js";
import { FIRST_LAYER, PATCHES, POSITIONS } from "../core/timeline.js";
import { RowCache, LayerWeights } from "../core/weights.js";
import { Loader, sourceOf } from "../data/source.js";
import { cellUnder } from "../parts/input.js";
import { ShareMap } from "../render/journey.js";

export const LINKS = 3; // number of strongest targets with an arc
const KEPT_BYTES = 2 ** 20; // bytes of the cache of a layer's rows, and of those computed in advance
const LEAST_IDLE_MS = 2; // a row takes less

export class JourneyData {
  // Loads one layer after another, so that the first layers are shown while later ones are loading.
  loadLayers(data) {
    const urls = data.layers.map(({ url }) => url);
    for (const layer of this.layers.slice(urls.length)) layer.loader?.stop();
    this.layers = data.layers.map((layer, i) => {
      const old = this.layers[i];
      if (old?.url === urls[i]) return Object.assign(old, { grid: layer.grid });
      old?.loader?.stop();
      return { url: urls[i], grid: layer.grid, weights: null, values: null, rows: null, map: new ShareMap(), loader: null };
    });
    const next = (from) => {
      const i = this.layers.findIndex(({ weights, values, url, loader }, at) => at >= from && url && !weights && !values && !loader);
      if (i < 0) return;
      const layer = this.layers[i];
      layer.loader = new Loader(sourceOf(this.host), {
        arrived: (_, { numbers }) => {
          if (this.layers[i] !== layer) return;
          if (numbers.arrays.shares) layer.values = numbers.arrays.shares;
          else takeRows(layer, numbers);
          this.repaint();
          this.prepareRows();
          next(i + 1);
        },
        changed: () => {
          if (layer.loader.error) next(i + 1); // continues with the other layers
          this.showStatus();
          this.repaint();
        },
        stale: () => this.host.stale(),
      });
      layer.loader.load({ urls: { numbers: layer.url } });
    };
    next(0);
  }

  // Computes the rows that a pointer may ask for, while the browser is idle.
  prepareRows() {
    if (this.idle || !window.requestIdleCallback) return;
    const next = () => this.layers.find(({ rows }) => rows && !rows.complete)?.rows;
    this.idle = window.requestIdleCallback((deadline) => {
      this.idle = 0;
      while (deadline.timeRemaining() > LEAST_IDLE_MS && next()) next().prepare();
      if (next()) this.prepareRows();
    });
  }

  // For models whose queries and keys are too large to load for all layers: loads those of the shown layer when
  // the pointer is on a patch.
  loadPointed() {
    const i = this.timeline.playing || this.hovered === null ? -1 : this.layerShown;
    const [layer, url] = [this.layers[i], this.shown.data.layers[i]?.rows];
    if (!url || (this.pointed?.layer === layer && this.pointed.url === url)) return;
    this.unloadPointed();
    const taken = (_, { numbers }) => {
      takeRows(layer, numbers);
      this.repaint();
    };
    this.pointed = { layer, url, loader: new Loader(sourceOf(this.host), { arrived: taken, changed: () => this.showStatus(), stale: () => this.host.stale() }) };
    this.pointed.loader.load({ urls: { numbers: url } });
  }

  unloadPointed() {
    if (!this.pointed) return;
    this.pointed.loader.stop();
    Object.assign(this.pointed.layer, { weights: null, rows: null });
    this.pointed = null;
  }

  // The query token.

  get grid() {
    return this.shown?.data.layout.grid ?? [1, 1];
  }

  // -> whether a layer can show any query, as opposed to the one token whose shares Python computed. With layer
  // -1: whether all layers can
  hasAllRows(layer) {
    const { layers } = this.shown.data;
    return layer < 0 ? layers.every(({ any }) => any) : Boolean(layers[layer].any || this.layers[layer].rows);
  }

  queryIn(layer) {
    if (!this.shown) return this.pinned;
    return this.pinned ?? (this.hasAllRows(layer) ? this.hovered : null) ?? this.shown.data.follow ?? null;
  }

  get query() {
    return this.queryIn(this.layerShown);
  }

  // -> the token under the pointer while another one is pinned; the share shown is the attention of the pinned token to it
  targetOf(query) {
    return this.hovered !== query ? this.hovered : null;
  }

  nameAt(cell) {
    return cell && patchName(cell);
  }

  // Patches at events, and attention shares.

  cellAt(event) {
    return this.shown && cellUnder(event, this.figure.photo, this.grid);
  }

  nameInLayerGrid(event) {
    const step = event.target.dataset?.step;
    if (step === undefined || !this.shown) return null;
    const grid = this.layers[step - FIRST_LAYER]?.grid ?? this.grid;
    const cell = cellUnder(event, event.target, grid);
    return cell && this.nameAt([0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / grid[axis]) * this.grid[axis])));
  }

  // -> a token's attention shares in one layer over all keys, of one head or the mean over heads; null while the layer is loading
  shares(layer, name, head = null) {
    const { rows, values } = this.layers[layer];
    if (!rows) return values && name === this.shown.data.mapped ? values : null;
    const token = tokenNamed(rows.weights.meta.query, name);
    return token < 0 ? null : rows.of(token, head);
  }

  // -> the shares of patches only, for maps. Those of a windowed layer are a map already.
  patchShares(layer, name, head = null) {
    const row = this.shares(layer, name, head);
    const { weights } = this.layers[layer];
    return row && weights ? row.subarray(weights.meta.key.prefix.length) : row;
  }

  uniformShare(layer) {
    const { weights, grid } = this.layers[layer];
    return 1 / (weights ? weights.keys : grid[0] * grid[1]);
  }

  strongestCells(layer, shares) {
    const { grid, rows } = this.layers[layer];
    const finite = rows ? shares : shares.map((value) => (Number.isNaN(value) ? -1 : value));
    const top = strongest(finite, LINKS + 1).filter((patch) => finite[patch] > 0);
    return top.map((patch) => [Math.floor(patch / grid[1]), patch % grid[1]]);
  }

  get layerShown() {
    if (!this.shown) return -1;
    if (this.open !== null) return this.open;
    if (this.timeline.layer >= 0) return this.timeline.layer;
    return this.hovered !== null && this.seen > FIRST_LAYER ? Math.min(this.layers.length - 1, Math.floor(this.seen) - FIRST_LAYER) : -1;
  }

  shareText(layer, shares, query) {
    const target = this.targetOf(query);
    if (target !== null) {
      const cell = patchNamed(target);
      const { grid } = this.layers[layer];
      const at = cell && [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
      const value = at ? shares[at[0] * grid[1] + at[1]] : NaN;
      return Number.isNaN(value) ? "–" : percent(value);
    }
    let most = 0;
    for (const value of shares) if (value > most) most = value;
    return percent(most);
  }

  // The prediction is shown only after playback or the visitor has reached the layers.
  get barsShown() {
    return this.reached > FIRST_LAYER && !this.waiting && Boolean(this.shown?.data.answer);
  }

  // With the preference for reduced motion, all layers are shown at once, and the prediction after the first step of the visitor.
  get waiting() {
    return this.timeline.at === this.timeline.beforeAnswer;
  }

  readingNote(layer) {
    const { answer } = this.shown.data;
    const last = layer === this.layers.length - 1;
    const right = answer.steps[layer + 1]?.right;
    if (this.mask.cells.size) return this.words.format("note_hidden", { hidden: this.mask.cells.size, count: this.grid[0] * this.grid[1] });
    if (right !== null && right !== undefined) return this.words.format(last ? "note_right_last" : "note_right", { share: Math.round(100 * right), layer });
    return this.words.format(last ? "note_last" : "note_lens");
  }

  stepName() {
    const { step, layer, finished } = this.timeline;
    if (finished) return this.words.format("finished");
    return step === PATCHES ? this.words.format("cell_patches") : step === POSITIONS ? this.words.format("cell_positions") : this.words.format("layer", { layer });
  }

  tokenWords(name) {
    if (name === null || name === undefined || !this.shown) return "";
    const { layout } = this.shown.data;
    const token = tokenNamed(layout, name);
    return token < 0 ? name : this.words.token(layout, token);
  }

  captionText() {
    const { timeline, words } = this;
    const { data } = this.shown;
    const pointed = this.hovered !== null || this.pinned !== null;
    const layer = this.layerShown;
    if (this.brushing || (this.mask.cells.size && timeline.finished && !pointed)) return this.hiddenText();
    if (layer >= 0 && (pointed || !timeline.finished) && this.seen > FIRST_LAYER) {
      const query = this.queryIn(layer);
      const shares = this.patchShares(layer, query);
      if (!shares) return words.format(this.layers[layer].loader?.error ? "caption_missing" : "caption_loading", { layer });
      const token = this.tokenWords(query);
      const asked = this.targetOf(query);
      if (asked !== null) return words.format("caption_target", { layer, token, target: this.tokenWords(asked), share: this.shareText(layer, shares, query) });
      const [best] = this.strongestCells(layer, shares);
      if (!best) return words.format("caption_unreached", { layer, token });
      const { grid } = this.layers[layer];
      const share = percent(shares[best[0] * grid[1] + best[1]]);
      const target = words.format("patch", { row: best[0], col: best[1] });
      const own = patchNamed(query ?? "");
      const itself = own && String(own) === String(best) && String(grid) === String(this.grid);
      return words.format(itself ? "caption_itself" : "caption_layer", { layer, token, target, share });
    }
    if (timeline.finished) return data.answer === null ? words.format(`caption_${data.silent}`) : words.format(data.answer.uncertain ? "caption_uncertain" : data.hiding ? "caption_answer" : "caption_answer_only", this.answerBlanks(data.answer));
    return timeline.step === POSITIONS ? data.captions.positions : data.captions.patches;
  }

  answerBlanks(answer) {
    const [best] = answer.bars.at(-1);
    return { name: best.name, value: best.text, layers: this.layers.length };
  }

  // The text for a patch under the keyboard cursor while patches are being hidden.
  maskText(cell) {
    const patch = this.words.format("patch", { row: cell[0], col: cell[1] });
    return this.words.format(this.mask.cells.has(cell[0] * this.grid[1] + cell[1]) ? "patch_hidden" : "patch_shown", { patch });
  }

  hiddenText() {
    const { words } = this;
    const { answer } = this.shown.data;
    const hidden = this.mask.cells.size;
    if (!hidden) return words.format("caption_brush");
    if (!this.reports.acknowledgedBy(this.shown.data.received) || answer === null) return words.format("caption_hiding", { hidden });
    const [best] = answer.bars.at(-1);
    return words.format("caption_hidden", { hidden, count: this.grid[0] * this.grid[1], name: best.name, value: best.text, whole_name: answer.whole?.name ?? "", whole_value: answer.whole?.text ?? "" });
  }
}

function takeRows(layer, numbers) {
  layer.weights = new LayerWeights(numbers);
  layer.rows = new RowCache(layer.weights, KEPT_BYTES);
}

export function percent(share) {
  const value = 100 * share;
  return value >= 10 ? `${value.toFixed(0)}%` : value >= 0.095 ? `${value.toFixed(1)}%` : value >= 0.0095 ? `${value.toFixed(2)}%` : "0%";
}
