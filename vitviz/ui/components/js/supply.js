// Brings the picture and the layers from the server: the one that is wanted, then its neighbours.

import { element } from "./element.js";
import { fetchPicture, Payloads } from "./payloads.js";
import { say } from "./say.js";

const NEIGHBOURS_AFTER_MS = 50;

export class Supply {
  // picture(bitmap), layer(weights, index): something has arrived. stale(index): the server no longer has it.
  constructor({ picture, layer, stale }) {
    this.handlers = { picture, layer, stale };
    this.payloads = new Payloads();
    this.trouble = element("p", { class: "trouble", role: "alert", hidden: true });
  }

  // addresses: { picture, layers: { index: url } }. An index without an address is one that the server is still on its way to.
  want(addresses, index) {
    this.addresses = addresses;
    this.index = index;
    this.#wantPicture(addresses.picture);
    this.#wantLayer(addresses.layers[index], index);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.soon);
  }

  async #wantPicture(url) {
    if (this.picture === url) return;
    this.picture = url;
    try {
      const bitmap = await fetchPicture(url);
      if (!this.stopped && this.picture === url) this.handlers.picture(bitmap);
    } catch {
      if (this.picture === url) this.picture = null;
    }
  }

  async #wantLayer(url, index) {
    if (!url) return;
    if (this.layer === url) return this.#prefetchSoon(); // the layer stayed, its neighbours may be new
    const wanted = () => !this.stopped && this.addresses.layers[this.index] === url;
    try {
      const weights = this.payloads.get(url) || (await this.payloads.load(url));
      if (!wanted()) return;
      this.layer = url;
      this.#complain(false);
      this.handlers.layer(weights, index);
      this.#prefetchSoon();
    } catch {
      if (wanted()) this.#failed(url);
    }
  }

  // The neighbours, once the layer is painted: the next press of [ or ] then costs nothing.
  #prefetchSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      for (const by of [1, -1]) {
        const url = this.addresses.layers[this.index + by];
        if (url) this.payloads.load(url).catch(() => {});
      }
    }, NEIGHBOURS_AFTER_MS);
  }

  // An address that ran out is asked for anew once; after that a person decides.
  #failed(url) {
    if (this.givenUp !== url) {
      this.givenUp = url;
      this.handlers.stale(this.index);
    }
    this.#complain(true);
  }

  #complain(failed) {
    this.trouble.hidden = !failed;
    if (!failed) return this.trouble.replaceChildren();
    const again = () => {
      this.handlers.stale(this.index);
      this.want(this.addresses, this.index);
    };
    this.trouble.replaceChildren(say("stale"), " ", element("button", { type: "button", text: say("again"), onclick: again }));
  }
}
