// Layout of the "one head by hand" figure: what each step of the attention computation draws, and where. It uses no DOM.
//
// A scene is a list of items { id, kind, box: [x, y, width, height], from, ... } in CSS pixels. An item whose id was in the
// previous scene moves from its box there. A new item starts at the box of the item that `from` names, or at a patch of the
// photograph (`from: [row, col]`). Kinds:
//   text    text, align, strong, muted
//   bars    values, most, mark, mean: a vector, drawn up and down from a middle line
//   bar     value, high: a bar that starts at zero
//   ticks   all, value: one number on a line with all the others
//   grid    values, rows, cols, most: coloured cells, blue below zero and red above
//   patch   the pixels of the followed patch
//   matrix  the weights of the whole head, with the followed row and column marked

import { number } from "./scale.js";

const LINE = 18; // CSS pixels of a line of small text
const GAP = 10;
const NUMBER = 62; // CSS pixels of a number in a list

const short = (value) => number(value, 4).replace("-", "\u2212");
const largest = (...vectors) => Math.max(1e-12, ...vectors.map((values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));

// step: the step's name. given: { arrays, meta } from Python (`pages/by_hand/stepper.py`). area: [x, y,
// width, height]. words: a Words.
// -> the scene, a list of items
export function sceneOf(step, given, area, words) {
  return new Scene(given, area, words)[step]();
}

// One method per step, each of which returns a list of items.
class Scene {
  constructor({ arrays, meta }, [x, y, width, height], words) {
    Object.assign(this, { n: arrays, meta, x, y, width, height, words });
  }

  format(key, blanks = {}) {
    return this.words.format(key, blanks);
  }

  text(id, text, x, y, look = {}) {
    return { id: `text ${id}`, kind: "text", text, box: [x, y, look.width ?? this.x + this.width - x, LINE], ...look };
  }

  // A vector below its name. `note` is written at the right end of the name's line; look: other properties of the `bars` item.
  row(id, name, values, y, height, look = {}) {
    const items = [this.text(id, name, this.x, y, { from: look.from })];
    if (look.note) items.push(this.text(`${id} note`, look.note, this.x, y, { align: "right", muted: true }));
    const box = [this.x, y + LINE, this.width, height - LINE];
    return [...items, { id, kind: "bars", values, box, most: largest(values), mark: this.component(values), ...look }];
  }

  // Vectors as rows of equal height that fill the area, or the part of it that begins at `y`.
  rows(rows, y = this.y, height = this.height) {
    const each = (height + GAP) / rows.length;
    return rows.flatMap(([id, name, values, look], at) => this.row(id, name, values, y + at * each, each - GAP, look));
  }

  component(values) {
    return Math.min(this.meta.component, values.length - 1);
  }

  noted(values, index = this.component(values)) {
    return this.format("component", { index, value: short(values[index]) });
  }

  counted(key, values, blanks = {}) {
    return this.format(key, { ...blanks, count: values.length });
  }

  // The `from` of a token's vectors: its patch. A prefix token has no place in the photograph, and gives undefined.
  patchOf({ cell }) {
    return cell ?? undefined;
  }

  pixels() {
    const { n, meta } = this;
    if (!n.pixels) return n.embedding ? this.rows([["embedding", this.counted("own_vector", n.embedding), n.embedding, { note: this.noted(n.embedding) }]]) : this.nothing();
    const [channels, rows, cols] = meta.patch;
    const side = Math.min(this.height - 2 * LINE - 4, this.width * 0.46);
    const items = [
      this.text("patch", this.format("patch_pixels", { rows, cols }), this.x, this.y, { width: side }),
      { id: "patch", kind: "patch", box: [this.x, this.y + LINE, side, (side * rows) / cols], from: meta.cell, cells: [rows, cols] },
    ];
    const left = this.x + side + 2 * GAP;
    items.push(this.text("grid scale", this.format("grid_scale", { most: number(largest(n.pixels), 2) }), this.x, this.y + this.height - LINE, { muted: true }));
    const small = Math.min((this.height + GAP) / channels - GAP, this.width * 0.22, side);
    const each = Math.min((this.height - 2 * LINE) / channels, (side + GAP) / channels + LINE);
    for (let channel = 0; channel < channels; channel++) {
      const y = this.y + LINE + channel * each;
      items.push(this.grid(`pixels ${channel}`, n.pixels, channel, [left, y, Math.min(small, each - GAP), Math.min(small, each - GAP)], { from: "patch", corner: true }));
      const at = left + Math.min(small, each - GAP) + GAP;
      const raw = n.corner[channel];
      items.push(
        this.text(`channel ${channel}`, meta.channels[channel], at, y, { strong: true }),
        this.text(`share ${channel}`, this.format("pixel_share", { value: raw, share: short(raw / 255) }), at, y + LINE),
        this.text(`input ${channel}`, this.format("pixel_input", { input: short(n.pixels[channel * rows * cols]) }), at, y + 2 * LINE),
      );
    }
    return items;
  }

  // One channel of an array (channels, rows, cols).
  grid(id, values, channel, box, look = {}) {
    const [, rows, cols] = this.meta.patch;
    const part = values.subarray(channel * rows * cols, (channel + 1) * rows * cols);
    return { id, kind: "grid", values: part, rows, cols, most: look.most ?? largest(values), box, ...look };
  }

  embedding() {
    const { n, meta } = this;
    if (!n.embedding) return this.nothing();
    const note = this.noted(n.embedding);
    if (!n.filter) return this.rows([["embedding", this.counted("embedded", n.embedding), n.embedding, { note, from: "patch" }]]);
    const [channels] = meta.patch;
    const upper = this.height * 0.7;
    const across = this.width * 0.25;
    const side = Math.min((upper - 2 * LINE) / channels - 4, across - 2 * GAP);
    const columns = [["pixels", n.pixels, "column_pixels"], ["filter", n.filter, "column_filter"], ["product", n.product, "column_product"]];
    const items = [];
    columns.forEach(([name, values, heading], at) => {
      const x = this.x + at * across;
      items.push(this.text(`of ${name}`, this.format(heading, { index: meta.component }), x, this.y, { width: across }));
      for (let channel = 0; channel < channels; channel++) {
        const box = [x, this.y + LINE + channel * (side + 4), side, side];
        items.push(this.grid(`${name} ${channel}`, values, channel, box, { from: name === "product" ? `pixels ${channel}` : undefined }));
      }
    });
    const x = this.x + 3 * across;
    const sums = [["sum_products", meta.products], ["sum_bias", meta.filterBias], ["sum_is", n.embedding[this.component(n.embedding)]]];
    sums.forEach(([key, value], at) => items.push(this.text(key, this.format(key, { value: short(value) }), x, this.y + LINE + at * 22, { strong: at === 2, from: "product 0" })));
    const [pixels, filter, product] = columns.map(([, values]) => number(largest(values), 2));
    items.push(this.text("grid scale", this.format("grid_scales", { pixels, filter, product }), this.x, this.y + upper - LINE, { muted: true }));
    const bottom = this.y + upper + GAP;
    return [...items, ...this.row("embedding", this.counted("embedded", n.embedding), n.embedding, bottom, this.y + this.height - bottom, { note, from: "product 0" })];
  }

  position() {
    const { n } = this;
    if (!n.embedding) return this.nothing();
    const first = this.meta.cell ? "embedded" : "own_vector";
    if (!n.position) return this.rows([["sum", this.counted("no_position", n.embedding), n.embedding, { from: "embedding", note: this.noted(n.embedding) }]]);
    const most = largest(n.embedding, n.position, n.sum);
    return this.rows([
      ["embedding", this.counted(first, n.embedding), n.embedding, { most, note: this.noted(n.embedding) }],
      ["position", this.format("plus_position"), n.position, { most, note: this.noted(n.position) }],
      ["sum", this.format("is_sum"), n.sum, { most, note: this.noted(n.sum), from: "embedding" }],
    ]);
  }

  norm() {
    const { n, meta } = this;
    const rows = [];
    if (meta.layer > 0 && n.token) rows.push(["sum", this.counted("at_entrance", n.token), n.token, { note: this.noted(n.token) }]);
    const mean = meta.norm && !meta.rms ? meta.mean : undefined;
    const entered = meta.layer > 0 || !n.sum ? "entered" : "sum";
    rows.push([entered, this.counted("entering", n.entered, { layer: meta.layer }), n.entered, { mean, note: this.noted(n.entered), from: "sum" }]);
    if (meta.norm) rows.push(["given", this.format(meta.rms ? "normalised_rms" : "normalised", { mean: short(meta.mean), deviation: short(meta.deviation) }), n.given, { note: this.noted(n.given), from: entered }]);
    return this.rows(rows);
  }

  qkv() {
    const { n, meta } = this;
    const from = this.patchOf(meta.written);
    return this.rows([
      [this.meta.norm ? "given" : "sum", this.counted("goes_in", n.given), n.given, { mark: undefined }],
      ["q", this.counted("is_q", n.q), n.q, { note: this.noted(n.q), from: "given" }],
      ["k", this.counted("is_k", n.k, { key: meta.written.name }), n.k, { note: this.noted(n.k), from }],
      ["v", this.counted("is_v", n.v, { key: meta.written.name }), n.v, { note: this.noted(n.v), from }],
    ]);
  }

  scores() {
    const { n, meta } = this;
    const [start, each] = this.list(meta.shown.length, 0.5);
    const top = start - GAP - this.y;
    const most = largest(n.q, n.k);
    const sums = { dot: short(meta.dot), factor: short(meta.factor), score: short(n.scores[meta.written.token]) };
    const items = this.rows(
      [
        ["q", this.format("query_row"), n.q, { most, note: this.noted(n.q) }],
        ["k", this.format("key_row", { key: meta.written.name }), n.k, { most, note: this.noted(n.k) }],
        ["dot", this.format("dot_row"), n.dot, { note: this.format(n.bias ? "dot_sum_bias" : "dot_sum", { ...sums, bias: n.bias ? short(n.bias[meta.written.token]) : "" }), from: "q" }],
      ],
      this.y,
      top,
    );
    const scores = meta.shown.map(({ token }) => n.scores[token]);
    return [...items, ...this.names(start, each, meta.shown), ...this.column("score", scores, start, each, 0.34, 0.66, "dot", n.scores)];
  }

  // Places `count` keys as lines at the bottom of the area. -> [y of the first line, height of a line]
  list(count, share) {
    const each = Math.min(28, (this.height * share) / count);
    return [this.y + this.height - each * count, each];
  }

  names(y, each, keys) {
    const { written } = this.meta;
    return keys.map(({ token, name, cell }, at) => this.text(`key ${token}`, name, this.x, y + at * each + (each - LINE) / 2, { strong: token === written.token, width: this.width * 0.32, from: cell ?? undefined }));
  }

  // The two lines of a column's heading.
  lines(key, blanks) {
    return [this.format(key, blanks), this.format(`${key}_below`, blanks)];
  }

  // Numbers and bars of the shown keys. left, width: the column's place, as fractions of the area's width. With `all`, a key's
  // number is drawn as one tick among those of all keys.
  column(name, values, y, each, left, width, from, all) {
    const high = Math.max(...values);
    const [x, numbers] = [this.x + left * this.width, NUMBER];
    return values.flatMap((value, at) => {
      const { token } = this.meta.shown[at];
      const line = y + at * each;
      const box = [x + numbers + 6, line + each * 0.22, Math.max(8, width * this.width - numbers - 14), each * 0.56];
      const text = this.text(`${name} ${token}`, short(value), x, line + (each - LINE) / 2, { align: "right", width: numbers, from });
      if (!width) return [text];
      return [
        text,
        { id: `${name} ${token}`, kind: all ? "ticks" : "bar", value, high, all, box, from, chosen: token === this.meta.written.token },
      ];
    });
  }

  softmax() {
    const { n, meta } = this;
    const lines = [...meta.shown, ...(meta.rest ? [{ token: "rest", name: meta.rest.name }] : []), { token: "all", name: this.format("sum") }];
    const each = Math.min(32, (this.height - 2 * LINE) / lines.length);
    const y = this.y + 2 * LINE;
    const of = (values) => meta.shown.map(({ token }) => values[token]);
    const narrow = this.width < 420; // too narrow for bars of scores and exponentials: only weights have bars
    const [score, exp, weight] = narrow ? [0.26, 0.46, 0.66] : [0.3, 0.53, 0.77];
    const heads = { score: [score, "", this.format("head_score")], exp: [exp, ...this.lines("head_exp", { maximum: short(meta.maximum) })], weight: [weight, ...this.lines("head_weight", { total: short(meta.total) })] };
    const items = [
      ...Object.entries(heads).flatMap(([name, [left, ...said]]) =>
        said.map((text, at) => this.text(`head ${name} ${at}`, text, this.x + left * this.width, this.y + at * LINE, { width: NUMBER, align: "right", strong: name === "weight" })),
      ),
      ...this.names(y, each, meta.shown),
      ...this.column("score", of(n.scores), y, each, score, narrow ? 0 : 0.23, undefined, n.scores),
      ...this.column("exp", of(n.exps), y, each, exp, narrow ? 0 : 0.24, "score"),
      ...this.column("weight", of(n.weights), y, each, weight, 1 - weight, "exp"),
    ];
    lines.slice(meta.shown.length).forEach(({ token, name }, at) => {
      const line = y + (meta.shown.length + at) * each + (each - LINE) / 2;
      const strong = token === "all";
      const [sum, share] = strong ? [meta.total, 1] : [meta.rest.exp, meta.rest.weight];
      items.push(
        this.text(`key ${token}`, name, this.x, line, { strong, width: this.width * 0.5 }),
        this.text(`exp ${token}`, short(sum), this.x + exp * this.width, line, { strong, align: "right", width: NUMBER }),
        this.text(`weight ${token}`, short(share), this.x + weight * this.width, line, { strong, align: "right", width: NUMBER }),
      );
    });
    return items;
  }

  // Each key's contribution to the output, weight times value vector. The contributions of all keys add up to
  // the output in the last line.
  output() {
    const { n, meta } = this;
    const size = n.output.length;
    const share = (at) => n.shares.subarray(at * size, (at + 1) * size);
    const count = meta.shown.length + (meta.rest ? 1 : 0);
    const foot = Math.max(60, this.height * 0.24);
    const each = (this.height - LINE - foot) / count;
    const y = this.y + LINE;
    const left = this.x + Math.max(0.4 * this.width, 190);
    const box = (at) => [left, y + at * each + 1, this.x + this.width - left, each - 2];
    const [line, sum] = [(each - 2) / 2, (foot - 4) / 2];
    const unit = Math.min(line / largest(n.shares), sum / largest(n.output)); // CSS pixels per unit: one scale for contributions and their sum
    const [most, whole] = [line / unit, sum / unit];
    const items = [
      this.text("head weight", this.format("head_weight_short"), left - 70, this.y, { width: 62, align: "right" }),
      this.text("head share", this.format("head_share"), left, this.y, { strong: true }),
      ...this.names(y, each, meta.shown),
    ];
    meta.shown.forEach(({ token, cell }, at) => {
      items.push(
        this.text(`weight ${token}`, short(n.weights[token]), left - 70, y + at * each + (each - LINE) / 2, { align: "right", width: NUMBER }),
        { id: `share ${token}`, kind: "bars", values: share(at), most, mark: this.component(n.output), box: box(at), from: cell ?? `weight ${token}` },
      );
    });
    if (meta.rest) {
      const at = count - 1;
      items.push(
        this.text("key rest", meta.rest.name, this.x, y + at * each + (each - LINE) / 2, { width: left - this.x - 74 }),
        this.text("weight rest", short(meta.rest.weight), left - 70, y + at * each + (each - LINE) / 2, { align: "right", width: NUMBER }),
        { id: "share rest", kind: "bars", values: share(at), most, mark: this.component(n.output), box: box(at) },
      );
    }
    const bottom = this.y + this.height - foot + 4;
    items.push(
      this.text("o", this.format("is_o"), this.x, bottom + foot / 2 - LINE, { strong: true, width: left - this.x }),
      this.text("o note", this.noted(n.output), this.x, bottom + foot / 2, { muted: true, width: left - this.x }),
      { id: "o", kind: "bars", values: n.output, most: whole, mark: this.component(n.output), box: [left, bottom, this.x + this.width - left, foot - 4], from: `share ${meta.shown[0].token}` },
    );
    return items;
  }

  matrices() {
    const { matrix } = this.meta;
    if (!matrix) return [this.text("none", this.format("too_many"), this.x, this.y)];
    const side = Math.min(this.height - 2 * LINE, this.width - GAP);
    const across = matrix.cols === matrix.rows ? side : Math.min(side, this.width * 0.5);
    const head = matrix.name ? this.format(matrix.signed ? "matrix_head_signed" : "matrix_head", matrix) : this.format("loading");
    return [
      this.text("matrix", head, this.x, this.y),
      { id: "matrix", kind: "matrix", box: [this.x + GAP, this.y + 2 * LINE, across, side], from: "o" },
      ...[["matrix_row", true], ["matrix_col", matrix.cols === matrix.rows]].flatMap(([key, shown], at) =>
        shown && this.width - across > 110 ? [this.text(key, this.format(key, { row: matrix.row, col: matrix.col }), this.x + across + 2 * GAP, this.y + LINE * (2 + at), { strong: at === 0 })] : [],
      ),
    ];
  }

  nothing() {
    return [this.text("none", this.format("not_written"), this.x, this.y, { muted: true })];
  }
}
