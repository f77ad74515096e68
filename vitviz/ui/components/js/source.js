// Fetches payloads: each once however many ask for it, given up when nobody wants it any more, the last ones kept. No DOM.

import { decode } from "./wire.js";

const KEPT_BYTES = 160 * 2 ** 20;

// reason: "network" (no answer), "gone" (404: its time is over), "server" (another status), "damaged" (no payload, no picture)
export class FetchError extends Error {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

// -> { arrays, shapes, meta }, and `picture` where the payload holds an encoded one. Rejects with a FetchError.
export async function fetchPayload(url, signal) {
  let response;
  let buffer;
  try {
    response = await fetch(url, { credentials: "same-origin", signal });
    if (response.ok) buffer = await response.arrayBuffer(); // a connection may break here, too
  } catch (error) {
    throw new FetchError("network", error.message);
  }
  if (!buffer) throw new FetchError(response.status === 404 ? "gone" : "server", response.status);
  try {
    const payload = decode(buffer);
    const { picture } = payload.arrays;
    if (picture) payload.picture = await createImageBitmap(new Blob([picture], { type: "image/png" }));
    return payload;
  } catch (error) {
    throw new FetchError("damaged", error.message);
  }
}

export class Source {
  // read(url, signal) -> Promise of a payload. kept: bytes to keep of payloads that are not in use.
  constructor(read = fetchPayload, kept = KEPT_BYTES) {
    this.read = read;
    this.kept = kept;
    this.entries = new Map(); // url -> { users, controller, promise, payload, bytes }, in the order of last use
  }

  // The payload, where it is here already.
  ready(url) {
    return this.entries.get(url)?.payload;
  }

  // `signal` is aborted when the payload is not needed any more: until then it is in use, and stays. One attempt; rejects as
  // `read` does, or with the signal's reason.
  load(url, signal) {
    const entry = this.entries.get(url) || this.#begin(url);
    this.entries.delete(url);
    this.entries.set(url, entry);
    entry.users += 1;
    return new Promise((resolve, reject) => {
      entry.promise.then(resolve, reject);
      const leave = () => {
        reject(signal.reason);
        this.#leave(url, entry);
      };
      if (signal.aborted) leave();
      else signal.addEventListener("abort", leave, { once: true });
    });
  }

  #begin(url) {
    const controller = new AbortController();
    const entry = { users: 0, controller, payload: null, bytes: 0 };
    entry.promise = this.read(url, controller.signal).then(
      (payload) => {
        entry.payload = payload;
        entry.bytes = sizeOf(payload);
        if (this.entries.get(url) === entry) this.#trim();
        else payload.picture?.close(); // given up in the meantime
        return payload;
      },
      (error) => {
        if (this.entries.get(url) === entry) this.entries.delete(url);
        throw error;
      },
    );
    return entry;
  }

  #leave(url, entry) {
    entry.users -= 1;
    if (entry.users > 0 || this.entries.get(url) !== entry) return;
    if (entry.payload) return this.#trim();
    this.entries.delete(url);
    entry.controller.abort();
  }

  #trim() {
    let bytes = 0;
    for (const entry of this.entries.values()) bytes += entry.bytes;
    for (const [url, entry] of this.entries) {
      if (bytes <= this.kept) break;
      if (entry.users > 0 || !entry.payload) continue;
      this.entries.delete(url);
      bytes -= entry.bytes;
      entry.payload.picture?.close();
    }
  }
}

function sizeOf({ arrays, picture }) {
  let bytes = picture ? 4 * picture.width * picture.height : 0;
  for (const array of Object.values(arrays)) bytes += array.byteLength;
  return bytes;
}
