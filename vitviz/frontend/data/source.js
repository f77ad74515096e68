// Payloads: each is fetched once however many views ask for it, given up when none wants it any more, and the last ones are kept.
// A Loader brings what a view asks for: everything a question needs together, or nothing. Late answers to earlier questions are
// passed over, failed attempts are repeated, and a failure after the last attempt is reported. No DOM.

const MAGIC = "VVZ1";
const ARRAY_TYPES = { float16: Uint16Array, float32: Float32Array, uint16: Uint16Array, int32: Int32Array, uint8: Uint8Array };
const KEPT_BYTES = 96 * 2 ** 20; // of all views of a page together

// reason: "network" (no answer), "gone" (404: its time is over), "server" (another status), "damaged" (no payload, no picture)
export class FetchError extends Error {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

// The reader of payloads over a host's `resolve(name, signal) -> bytes`: read(name, signal) -> { arrays, shapes, meta }, and
// `picture` where the payload holds an encoded one. Rejects with a FetchError.
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

const sources = new WeakMap(); // resolve -> the Source of all views over it

export function sourceOf({ resolve }) {
  if (!sources.has(resolve)) sources.set(resolve, new Source(payloadReader(resolve)));
  return sources.get(resolve);
}

export class Source {
  // read(url, signal) -> Promise of a payload. kept: bytes to keep of payloads that are not in use.
  constructor(read, kept = KEPT_BYTES) {
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

// Before the second, third and fourth attempt. A server that does not answer is asked again every SLOW_MS after that, with
// the failure on the screen; what the server has refused four times is retried on request.
const PAUSES_MS = [300, 1000, 3000];
const SLOW_MS = 10000;
const STALE_EVERY_MS = 4000; // otherwise a store that is too small for the page would make Python run without end

export class Loader {
  // arrived(request, payloads): all of it is here, `payloads` by the names of `request.urls`.
  // changed(): `state` is another: "idle", "loading", "shown" or "failed"; then `error` says why and `missing` names the url.
  // stale(): the server no longer has something, and Python is to offer it anew.
  // wait(ms, signal) -> Promise, at the end of a pause or when it is cut short.
  constructor(source, { arrived, changed, stale }, wait = pause) {
    Object.assign(this, { source, arrived, changed, stale, wait });
    this.state = "idle";
    this.staleAt = -Infinity;
    this.error = null;
    this.missing = null;
    this.number = 0; // of the request asked last
    this.lease = null; // ends the use of what is shown
    this.current = null; // { request, controller } of the request that is being answered
  }

  // request: { urls: { name: url or null }, ... }. A url that is undefined is one that Python has yet to give: the request is
  // loading until it is asked again with it. A request with the same urls as the last is answered from what is here.
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
      for (const name of names) this.source.load(request.urls[name], controller.signal).catch(() => {}); // now in use
      this.#loaded(found);
    } else {
      // While the same is tried once more, what failed stays on the screen.
      this.#setState(same && this.state === "failed" ? "failed" : "loading");
      if (!open) this.#attempts(this.number, names, controller);
    }
    if (before && before.controller !== this.lease) before.controller.abort(); // after its payloads have been taken over
  }

  // The same request once more, without waiting for the end of a pause.
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

// A payload is "VVZ1", the header's length, a header in JSON, then raw arrays (the writing side is vitviz/ui/server/payloads.py).
// -> { arrays: { name: typed array }, shapes: { name: [..] }, meta }. The arrays are views: nothing is copied. Half precision becomes
// single, which not every browser has an array type for.
// Throws an Error for bytes that are no payload, such as the page a server sends for an address it does not know.
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

let singles = null; // every number of half precision by its bits, made when the first one comes

// Half precision as its bits -> Float32Array (IEEE 754: a sign, 5 bits of exponent, 10 of fraction).
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
