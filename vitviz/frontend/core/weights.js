// Attention weights of one layer, computed in the browser from queries and keys: exp(q·k * scale + bias - lse), for one row or one
// column of every head at a time.
//
// The numbers are those of Attention.weights() in vitviz/capture/attention.py. Products of float32 are summed in double precision
// here, so the results differ by the rounding in Python only.

import { extent, FLAT } from "./scale.js";

const CODES = 65535; // the largest code of an explicit weight, as in vitviz/ui/components/microscope.py

// arrays, as written by vitviz/ui/components/microscope.py:
//   q (heads, queries, dim), k (heads, keys, dim), lse (heads, queries)
//   bias_table (entries, heads) with bias_index (queries, keys), or bias (heads or 1, queries or 1, keys), or neither
//   or, in place of all these, explicit (heads, queries, keys) with explicit_range (heads, 2): value = low + code * step
//   value_norm (heads, keys), optional
export class LayerWeights {
  constructor({ arrays, shapes, meta }) {
    this.arrays = arrays;
    // Usually queries and keys are the same tokens. Then both use one layout object, so that callers can compare by identity.
    const alike = JSON.stringify(meta.query) === JSON.stringify(meta.key);
    this.meta = alike ? { ...meta, key: meta.query } : meta;
    this.heads = meta.num_heads;
    const shape = shapes.explicit || [this.heads, shapes.q[1], shapes.k[1]];
    this.queries = shape[1];
    this.keys = shape[2];
    this.dim = shapes.q ? shapes.q[2] : 0;
    this.biasShape = shapes.bias;
    this.signed = isSigned(arrays.explicit_range);
  }

  get bytes() {
    return Object.values(this.arrays).reduce((sum, array) => sum + array.byteLength, 0);
  }

  get hasValueNorm() {
    return Boolean(this.arrays.value_norm);
  }

  // -> the row of one query: Float32Array (heads, keys)
  row(query, valueWeighted = false) {
    const { heads, keys, arrays } = this;
    const out = new Float32Array(heads * keys);
    if (arrays.explicit) this.#explicit(out, keys, query * keys, 1);
    else {
      const { q, k, lse } = arrays;
      for (let head = 0; head < heads; head++) {
        const own = q.subarray((head * this.queries + query) * this.dim, (head * this.queries + query + 1) * this.dim);
        dots(own, k, head * keys * this.dim, this.meta.scale, out, head * keys, keys);
        this.#addBias(out, head, keys, query, 0, 0, 1);
        const rowLse = lse[head * this.queries + query];
        for (let i = head * keys; i < (head + 1) * keys; i++) out[i] = Math.exp(out[i] - rowLse);
      }
    }
    if (valueWeighted) for (let i = 0; i < out.length; i++) out[i] *= arrays.value_norm[i];
    return out;
  }

  // -> the column of one key: Float32Array (heads, queries)
  column(key, valueWeighted = false) {
    const { heads, queries, keys, arrays } = this;
    const out = new Float32Array(heads * queries);
    if (arrays.explicit) this.#explicit(out, queries, key, keys);
    else {
      const { q, k, lse } = arrays;
      for (let head = 0; head < heads; head++) {
        const own = k.subarray((head * keys + key) * this.dim, (head * keys + key + 1) * this.dim);
        dots(own, q, head * queries * this.dim, this.meta.scale, out, head * queries, queries);
        this.#addBias(out, head, queries, 0, 1, key, 0);
        for (let i = head * queries; i < (head + 1) * queries; i++) out[i] = Math.exp(out[i] - lse[i]);
      }
    }
    if (valueWeighted) {
      for (let i = 0; i < out.length; i++) out[i] *= arrays.value_norm[Math.floor(i / queries) * keys + key];
    }
    return out;
  }

  #explicit(out, length, first, stride) {
    const { explicit, explicit_range: range } = this.arrays;
    for (let head = 0; head < this.heads; head++) {
      const base = head * this.queries * this.keys + first;
      const [low, unit] = [range[head * 2], range[head * 2 + 1]];
      for (let i = 0; i < length; i++) out[head * length + i] = low + explicit[base + i * stride] * unit;
    }
  }

  // Adds the bias of (query + i * queryStep, key + i * keyStep) to entry i of one head.
  #addBias(out, head, length, query, queryStep, key, keyStep) {
    const { bias, bias_table: table, bias_index: index } = this.arrays;
    const { heads, keys } = this;
    if (table) {
      const stride = queryStep * keys + keyStep;
      let place = query * keys + key;
      for (let i = 0; i < length; i++, place += stride) out[head * length + i] += table[index[place] * heads + head];
    } else if (bias) {
      const [biasHeads, biasQueries] = this.biasShape;
      const base = biasHeads > 1 ? head * biasQueries * keys : 0;
      for (let i = 0; i < length; i++) {
        const row = biasQueries > 1 ? query + i * queryStep : 0;
        out[head * length + i] += bias[base + row * keys + key + i * keyStep];
      }
    }
  }
}

// Some models mix or subtract maps after the softmax, so that entries can be negative. Then all maps of the layer get a
// signed scale, whatever the query, because colours must mean the same for every query. Negative values of the size of
// rounding errors do not count.
function isSigned(ranges) {
  if (!ranges) return false;
  let [least, most] = [0, 0];
  for (let i = 0; i < ranges.length; i += 2) {
    least = Math.min(least, ranges[i]);
    most = Math.max(most, Math.abs(ranges[i]), Math.abs(ranges[i] + CODES * ranges[i + 1]));
  }
  return least < -FLAT * most;
}

// out[at + i] = scale * (own · many[i]) for `count` vectors stored one after another. Four products are summed at once: each
// number of `own` is read once for all four, and the additions are independent of each other. This is four times as fast as
// one product after another.
function dots(own, many, from, scale, out, at, count) {
  const dim = own.length;
  const scaled = Float64Array.from(own, (value) => value * scale);
  let first = from;
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    const second = first + dim;
    const third = second + dim;
    const fourth = third + dim;
    for (let j = 0; j < dim; j++) {
      const value = scaled[j];
      a += value * many[first + j];
      b += value * many[second + j];
      c += value * many[third + j];
      d += value * many[fourth + j];
    }
    out[at + i] = a;
    out[at + i + 1] = b;
    out[at + i + 2] = c;
    out[at + i + 3] = d;
    first = fourth + dim;
  }
  for (; i < count; i++, first += dim) {
    let sum = 0;
    for (let j = 0; j < dim; j++) sum += scaled[j] * many[first + j];
    out[at + i] = sum;
  }
}

// (heads, length) -> (length): the mean over heads
export function meanOfHeads(values, heads) {
  const length = values.length / heads;
  const mean = new Float32Array(length);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < length; i++) mean[i] += values[head * length + i] / heads;
  }
  return mean;
}

// Caches the rows of a layer that were requested last, of every head and of their mean, in a limited number of bytes; it holds at
// least one. If the mean rows of all tokens take no more than that, they are computed in advance, one after the other.
export class RowCache {
  constructor(weights, bytes) {
    Object.assign(this, { weights, most: Math.max(1, Math.floor(bytes / (4 * (weights.heads + 1) * weights.keys))), rows: new Map() });
    this.means = 4 * weights.queries * weights.keys <= bytes ? new Float32Array(weights.queries * weights.keys) : null;
    this.prepared = 0; // tokens, from the first on, whose mean is there
  }

  get complete() {
    return this.means === null || this.prepared === this.weights.queries;
  }

  // The mean of one more token.
  prepare() {
    const { weights, means, prepared } = this;
    means.set(meanOfHeads(weights.row(prepared), weights.heads), prepared * weights.keys);
    this.prepared += 1;
  }

  // -> the row of a token: Float32Array (keys), of one head, or of the mean if `head` is null
  of(token, head = null) {
    const { weights, rows } = this;
    if (head === null && token < this.prepared) return this.means.subarray(token * weights.keys, (token + 1) * weights.keys);
    let row = rows.get(token);
    if (!row) {
      const heads = weights.row(token);
      row = { heads, mean: meanOfHeads(heads, weights.heads) };
      rows.set(token, row);
      if (rows.size > this.most) rows.delete(rows.keys().next().value);
    }
    return head === null ? row.mean : row.heads.subarray(head * weights.keys, (head + 1) * weights.keys);
  }
}

// The layouts of the selected token (source) and of the tokens with a value (target): queries and keys, or the
// reverse in direction "by".
export function layouts(weights, direction) {
  const { query, key } = weights.meta;
  return direction === "by" ? { source: key, target: query } : { source: query, target: key };
}

// The maps of one source token, a token of layouts().source, for all heads. view: { direction, measure, scale, shared }.
export class AttentionMaps {
  constructor(weights, source, view) {
    const weighted = view.measure === "value" && weights.hasValueNorm;
    this.heads = weights.heads;
    this.source = source;
    this.layouts = layouts(weights, view.direction);
    this.values = view.direction === "by" ? weights.column(source, weighted) : weights.row(source, weighted);
    this.mean = meanOfHeads(this.values, this.heads);
    this.count = this.mean.length;

    const robust = view.scale === "robust";
    const { signed } = weights;
    const all = view.shared ? extent(this.#everyPatch(), robust, signed) : null;
    this.headExtents = Array.from({ length: this.heads }, (_, head) => all || extent(this.patches(head), robust, signed));
    this.meanExtent = all || extent(this.patches("mean"), robust, signed);
  }

  // -> the values of all tokens for one head, or for the mean ("mean" and "all")
  of(head) {
    if (typeof head !== "number") return this.mean;
    return this.values.subarray(head * this.count, (head + 1) * this.count);
  }

  patches(head) {
    return this.of(head).subarray(this.layouts.target.prefix.length);
  }

  // The patches of all heads, concatenated, from which a shared scale is computed.
  #everyPatch() {
    const patches = this.layouts.target.grid[0] * this.layouts.target.grid[1];
    const all = new Float32Array(this.heads * patches);
    for (let head = 0; head < this.heads; head++) all.set(this.patches(head), head * patches);
    return all;
  }

  extent(head) {
    return typeof head === "number" ? this.headExtents[head] : this.meanExtent;
  }
}

// One unit vector for each patch. They are sent in half precision by PatchFeatures.packed() in vitviz/analysis/features.py.
export class PatchVectors {
  constructor({ arrays, shapes }) {
    this.values = arrays.features; // (patches, width)
    [this.count, this.width] = shapes.features;
  }

  // -> cosine similarity of every patch with patch `index` of `other`: Float32Array (patches)
  similarities(index, other = this) {
    const out = new Float32Array(this.count);
    const own = other.values.subarray(index * other.width, (index + 1) * other.width);
    dots(own, this.values, 0, 1, out, 0, this.count);
    return out;
  }
}

// -> the bias that a layer adds to the scores of one query patch over all key patches: Float32Array (patches), NaN where
// the layer has none. bias: (down, right) over displacements that are `step` patches apart, with displacement zero in
// the middle (vitviz/ui/pages/start/position_map.py)
export function biasFrom({ arrays, shapes, meta }, [row, col], [rows, cols]) {
  const [down, across] = shapes.bias;
  const out = new Float32Array(rows * cols).fill(NaN);
  for (let i = 0; i < out.length; i++) {
    const y = (Math.floor(i / cols) - row) / meta.step[0] + (down - 1) / 2;
    const x = ((i % cols) - col) / meta.step[1] + (across - 1) / 2;
    if (Number.isInteger(y) && Number.isInteger(x) && y >= 0 && x >= 0 && y < down && x < across) out[i] = arrays.bias[y * across + x];
  }
  return out;
}

// -> index of the largest value except `except`, the first of equal ones; -1 if there is none
export function nearest(values, except = -1) {
  let best = -1;
  for (let i = 0; i < values.length; i++) if (i !== except && (best < 0 || values[i] > values[best])) best = i;
  return best;
}
