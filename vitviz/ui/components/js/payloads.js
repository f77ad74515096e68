// Fetches layers and keeps the last few, so that going back and forth between layers asks the server once.

import { LayerWeights } from "./attention.js";
import { decode } from "./wire.js";

const KEPT = 6;

export class Payloads {
  constructor() {
    this.pending = new Map(); // url -> Promise<LayerWeights>, in the order of last use
    this.ready = new Map(); // url -> LayerWeights
  }

  get(url) {
    return this.ready.get(url);
  }

  // Rejects where the server no longer has it, or sends something else.
  load(url) {
    const known = this.pending.get(url);
    this.pending.delete(url);
    const wanted = known || fetchPayload(url).then((payload) => new LayerWeights(payload));
    this.pending.set(url, wanted);
    if (!known) {
      wanted.then(
        (weights) => this.pending.has(url) && this.ready.set(url, weights),
        () => this.pending.delete(url),
      );
    }
    for (const oldest of this.pending.keys()) {
      if (this.pending.size <= KEPT) break;
      this.pending.delete(oldest);
      this.ready.delete(oldest);
    }
    return wanted;
  }
}

export async function fetchPayload(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return decode(await response.arrayBuffer());
}

// The picture travels as an encoded image inside a payload, so that one route and one rule serve everything.
export async function fetchPicture(url) {
  const { arrays, meta } = await fetchPayload(url);
  return createImageBitmap(new Blob([arrays.picture], { type: meta.type }));
}
