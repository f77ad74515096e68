// Fetches payloads (encoded arrays) for views, with a cache, retries and cancellation, without using the DOM.
//
// A Source is shared by all views of a page. It fetches each payload once, aborts requests that no view needs any more, and keeps
// the payloads used last. A Loader serves one view: it delivers all payloads of a request together, ignores responses to earlier
// requests, retries failures, and reports an error after the last attempt.

const MAGIC = "VVZ1";
const ARRAY_TYPES = { float16: Uint16Array, float32: Float32Array, uint16: Uint16Array, int32: Int32Array, uint8: Uint8Array };
const KEPT_BYTES = 96 * 2 ** 20; // for all views of a page together

// reason: "network" (no response), "gone" (404: the server has dropped the payload), "server" (another status), "damaged" (the
// bytes are not a payload, or its picture cannot be decoded)
export class FetchError extends Error {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

// Decodes payloads that a host's `resolve(name, signal) -> bytes` fetches.
// -> read(name, signal) -> Promise of { arrays, shapes, meta }, and `picture` if the payload contains an encoded picture;
// rejects with a FetchError
export function payloadReader(resolve) {
  return async (name, signal) => {
    const bytes = await resolve(name, signal);
    try {
      const payload = decode(bytes);
      const { picture } = payload.arrays;
      if (picture) payload.picture = await createImageBitmap(new Blob([picture], { type: "image/png" }));
      return payload;
    } catch (error) {
      throw new FetchError("damaged", error.message);
    }
  };
}

const sources = new WeakMap(); // resolve -> the Source that all views with that function share

// -> the Source of a host, shared by all views that have the same `resolve`
export function sourceOf({ resolve }) {
  if (!sources.has(resolve)) sources.set(resolve, new Source(payloadReader(resolve)));
  return sources.get(resolve);
}

// Fetches and caches payloads for all views of a page.
export class Source {
  // read(url, signal) -> Promise of a payload. kept: size of the cache in bytes. Payloads in use are never removed from it.
  constructor(read, kept = KEPT_BYTES) {
    this.read = read;
    this.kept = kept;
    this.entries = new Map(); // url -> { users, controller, promise, payload, bytes }, in the order of last use
  }

  // -> the payload, if it is in the cache
  ready(url) {
    return this.entries.get(url)?.payload;
  }

  // Makes one attempt. The payload is in use, and stays in the cache, until `signal` is aborted.
  // -> Promise of the payload; rejects as `read` does, or with the signal's reason
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
        else payload.picture?.close(); // no view needs it any more
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

// Delays before the second, third and fourth attempt. After these the failure is shown. If the server does not respond, attempts
// continue every SLOW_MS; if it responded with an error, they end until `retry` is called.
const PAUSES_MS = [300, 1000, 3000];
const SLOW_MS = 10000;
const STALE_EVERY_MS = 4000; // a server cache too small for the page would otherwise make Python rerun endlessly

// Loads all payloads of a view's request, with retries; a new request replaces the last.
export class Loader {
  // arrived(request, payloads): all payloads of the request are loaded; `payloads` has the names of `request.urls`.
  // changed(): `state` has changed to "idle", "loading", "shown" or "failed"; after a failure `error` is the FetchError and
  // `missing` the name of the url.
  // stale(): the server no longer has a payload, and Python must offer it again.
  // wait(ms, signal) -> Promise that resolves after the delay, or when the signal is aborted.
  constructor(source, { arrived, changed, stale }, wait = pause) {
    Object.assign(this, { source, arrived, changed, stale, wait });
    this.state = "idle";
    this.staleAt = -Infinity;
    this.error = null;
    this.missing = null;
    this.number = 0; // of the last request
    this.lease = null; // AbortController whose abort ends the use of the payloads that are shown
    this.current = null; // { request, controller } of the last request
  }

  // request: { urls: { name: url or null }, ... }. An undefined url is one that Python has not sent yet: the state is "loading"
  // until `load` is called again with the url. If all payloads are in the cache, the request is answered at once.
  load(request) {
    const controller = new AbortController();
    const before = this.current;
    const same = before !== null && sameUrls(before.request, request);
    this.number += 1;
    this.current = { request, controller };
    const names = Object.keys(request.urls).filter((name) => request.urls[name]);
    const open = Object.values(request.urls).includes(undefined);
    const found = Object.fromEntries(names.map((name) => [name, this.source.ready(request.urls[name])]));
    if (!open && names.every((name) => found[name])) {
      for (const name of names) this.source.load(request.urls[name], controller.signal).catch(() => {}); // marks them as in use
      this.#loaded(found);
    } else {
      // A failure stays visible during another attempt at the same urls.
      this.#setState(same && this.state === "failed" ? "failed" : "loading");
      if (!open) this.#attempts(this.number, names, controller);
    }
    if (before && before.controller !== this.lease) before.controller.abort(); // after the new request has claimed its payloads
  }

  // Repeats the last request at once.
  retry() {
    if (!this.current || this.state === "shown") return;
    this.state = "idle";
    this.load(this.current.request);
  }

  stop() {
    this.number += 1;
    this.current?.controller.abort();
    this.lease?.abort();
    this.current = this.lease = null;
  }

  async #attempts(number, names, controller) {
    const { request } = this.current;
    const { signal } = controller;
    for (let attempt = 0; ; attempt++) {
      const loads = names.map((name) => this.#loadOne(name, request.urls[name], signal));
      const results = await Promise.allSettled(loads);
      if (number !== this.number) return;
      const failed = results.find(({ status }) => status === "rejected");
      if (!failed) return this.#loaded(Object.fromEntries(results.map(({ value }) => value)));
      const { error, name } = failed.reason;
      if (error.reason === "gone") this.#reportStale();
      if (attempt >= PAUSES_MS.length) {
        this.error = error;
        this.missing = name;
        this.#setState("failed");
        if (error.reason !== "network") return;
      }
      await this.wait(PAUSES_MS[attempt] ?? SLOW_MS, signal);
      if (number !== this.number) return;
    }
  }

  async #loadOne(name, url, signal) {
    try {
      return [name, await this.source.load(url, signal)];
    } catch (error) {
      throw { name, error: error instanceof FetchError ? error : new FetchError("network", String(error)) };
    }
  }

  #reportStale() {
    const now = performance.now();
    if (now - this.staleAt < STALE_EVERY_MS) return;
    this.staleAt = now;
    this.stale();
  }

  #loaded(payloads) {
    const { request, controller } = this.current;
    const before = this.lease;
    this.lease = controller;
    this.error = this.missing = null;
    this.state = "shown";
    this.arrived(request, payloads);
    this.changed();
    if (before !== controller) before?.abort();
  }

  #setState(state) {
    this.state = state;
    if (state !== "failed") this.error = this.missing = null;
    this.changed();
  }
}

function sameUrls(one, two) {
  const names = new Set([...Object.keys(one.urls), ...Object.keys(two.urls)]);
  return [...names].every((name) => one.urls[name] === two.urls[name]);
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const cut = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", cut, { once: true });
  });
}

// Decodes a payload: "VVZ1", the length of the header, the header in JSON, then raw arrays
// (vitviz/ui/server/payloads.py encodes it).
// -> { arrays: { name: typed array }, shapes: { name: [..] }, meta }. The arrays are views of the buffer, except that float16 is
// converted to float32, because not every browser has an array type for it. Throws an Error if the bytes are not a payload, such as
// the page that a server sends for an unknown address.
export function decode(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== MAGIC) {
    throw new Error("not a payload");
  }
  const headerLength = new DataView(buffer).getUint32(4, true);
  const start = 8 + headerLength;
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const arrays = {};
  const shapes = {};
  for (const [name, entry] of Object.entries(header.arrays)) {
    const ArrayType = ARRAY_TYPES[entry.dtype];
    if (!ArrayType) throw new Error(`array ${name} has the unknown type ${entry.dtype}`);
    const length = entry.shape.reduce((product, size) => product * size, 1);
    const array = new ArrayType(buffer, start + entry.offset, length);
    arrays[name] = entry.dtype === "float16" ? single(array) : array;
    shapes[name] = entry.shape;
  }
  return { arrays, shapes, meta: header.meta };
}

let singles = null; // the value of each of the 65536 float16 bit patterns, computed at the first use

// Bit patterns of float16 -> Float32Array (IEEE 754: 1 sign bit, 5 bits of exponent, 10 of fraction)
function single(halves) {
  singles ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
  const numbers = new Float32Array(halves.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = singles[halves[i]]; // Float32Array.from takes ten times as long
  return numbers;
}
