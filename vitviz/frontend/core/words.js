// Formats the sentences of a view. The host provides them from Python, and this module fills in their placeholders.

import { cellOf } from "./layout.js";
import { number, rankOf, strongest } from "./scale.js";

let hovers = null; // the MediaQueryList, kept because creating one takes longer than formatting a sentence

// -> whether the device has touch only, with no pointer that can hover
export function touched() {
  hovers ??= globalThis.matchMedia?.("(hover: none)");
  return Boolean(hovers?.matches);
}

// -> the instruction for painting, for a mouse or for touch
export function paintHint({ hint, touch_hint: fingers }) {
  return (touched() && fingers) || hint;
}

export class Words {
  // sentences: { key: "text with {placeholders}" }
  constructor(sentences) {
    this.sentences = sentences;
  }

  // Replaces "{row}" by blanks.row. On a touch device the sentence "key_touch" is used instead of "key", if there is one.
  format(key, blanks = {}) {
    const sentence = (touched() && this.sentences[`${key}_touch`]) || this.sentences[key];
    return sentence.replace(/\{(\w+)\}/g, (_, name) => blanks[name]);
  }

  token(layout, token) {
    const cell = cellOf(layout, token);
    if (cell) return this.format("patch", { row: cell[0], col: cell[1] });
    const name = layout.prefix[token];
    const register = /^reg(\d+)$/.exec(name);
    if (register) return this.format("register", { index: register[1] });
    return { cls: this.sentences.cls, dist: this.sentences.dist }[name] || name;
  }

  head(head) {
    return typeof head === "number" ? this.format("head", { head }) : this.format("mean");
  }

  verb(direction) {
    return this.format(direction === "by" ? "verb_by" : "verb_at");
  }

  strongest(maps, head) {
    return this.format("strongest", { strongest: this.#strongestNames(maps, head), head: this.head(head) });
  }

  // -> a target's value, its rank, and the head: "0.04123, rank 2 of 257 (head 3)"
  value(maps, head, target) {
    const values = maps.of(head);
    const blanks = { value: number(values[target], 4), rank: rankOf(values, target), count: values.length };
    return this.format("value", { ...blanks, token: this.token(maps.layouts.target, target), head: this.head(head) });
  }

  // -> the text alternative of the microscope's picture
  alternative(maps, view, pinned) {
    const [rows, cols] = maps.layouts.source.grid;
    const blanks = {
      source: this.token(maps.layouts.source, maps.source),
      verb: this.verb(view.direction),
      strongest: this.#strongestNames(maps, view.head),
      head: this.head(view.head),
      layer: view.layer,
    };
    return `${this.format("picture", { rows, cols })} ${this.format(pinned ? "pinned_sentence" : "free_sentence", blanks)}`;
  }

  // -> "row 3, column 6 (0.0412), class token (0.0310) and row 4, column 6 (0.0207)"
  #strongestNames(maps, head) {
    const values = maps.of(head);
    const names = strongest(values, 3).map((token) =>
      this.format("named_value", { token: this.token(maps.layouts.target, token), value: number(values[token]) }),
    );
    if (names.length < 2) return names.join("");
    return this.format("and", { several: names.slice(0, -1).join(", "), last: names.at(-1) });
  }
}
