// Everything the component says. The sentences come from the app's text catalogue; this file fills in the blanks.

import { WORDS } from "./given.js";
import { number, rankOf, strongest } from "./scale.js";
import { cellOf } from "./tokens.js";

// "{row}" in the sentence is replaced by blanks.row.
export function say(key, blanks = {}) {
  return WORDS[key].replace(/\{(\w+)\}/g, (_, name) => blanks[name]);
}

export function tokenWords(layout, token) {
  const cell = cellOf(layout, token);
  if (cell) return say("patch", { row: cell[0], col: cell[1] });
  const name = layout.prefix[token];
  const register = /^reg(\d+)$/.exec(name);
  if (register) return say("register", { index: register[1] });
  return { cls: WORDS.cls, dist: WORDS.dist }[name] || name;
}

export function headWords(head) {
  return typeof head === "number" ? say("head", { head }) : say("mean");
}

// "row 3, column 6 (0.0412), class token (0.0310) and row 4, column 6 (0.0207)"
function strongestNames(answer, head) {
  const values = answer.of(head);
  const names = strongest(values, 3).map((token) =>
    say("named_value", { token: tokenWords(answer.layouts.target, token), value: number(values[token]) }),
  );
  if (names.length < 2) return names.join("");
  return say("and", { several: names.slice(0, -1).join(", "), last: names.at(-1) });
}

export function strongestWords(answer, head) {
  return say("strongest", { strongest: strongestNames(answer, head), head: headWords(head) });
}

// The exact weight of one target, its rank, and what of: "0.04123, rank 2 of 257 (head 3)"
export function valueWords(answer, head, target) {
  const values = answer.of(head);
  const blanks = { value: number(values[target], 4), rank: rankOf(values, target), count: values.length };
  return say("value", { ...blanks, token: tokenWords(answer.layouts.target, target), head: headWords(head) });
}

export function verb(direction) {
  return say(direction === "by" ? "verb_by" : "verb_at");
}

// The text alternative of the picture.
export function alternative(answer, view, pinned) {
  const [rows, cols] = answer.layouts.source.grid;
  const blanks = {
    source: tokenWords(answer.layouts.source, answer.source),
    verb: verb(view.direction),
    strongest: strongestNames(answer, view.head),
    head: headWords(view.head),
    layer: view.layer,
  };
  return `${say("picture", { rows, cols })} ${say(pinned ? "pinned_sentence" : "free_sentence", blanks)}`;
}
