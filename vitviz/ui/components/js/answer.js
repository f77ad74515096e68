// What a layer answers to one question: the values of every head and of their mean, and the scales to paint them with.

import { meanOfHeads } from "./attention.js";
import { extent } from "./scale.js";

// The layouts of what is asked about (the source) and of what is answered (the targets).
export function layouts(weights, direction) {
  const { query, key } = weights.meta;
  return direction === "by" ? { source: key, target: query } : { source: query, target: key };
}

// source: a token of layouts().source. view: { direction, measure, scale, shared }.
export class Answer {
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

  // All tokens' values of one head or of the mean. "all" is spoken for by the mean.
  of(head) {
    if (typeof head !== "number") return this.mean;
    return this.values.subarray(head * this.count, (head + 1) * this.count);
  }

  patches(head) {
    return this.of(head).subarray(this.layouts.target.prefix.length);
  }

  // The patches of all heads one after another: a shared scale is the scale of all of them.
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
