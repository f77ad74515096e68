// Tokens that are no patches, as a row of buttons. The buttons stay while the tokens are the same, and with them the focus.

import { element, setAttribute, setText } from "./dom.js";

export class Chips {
  // label: of the group. choose(name); hover(name) and leave() for a mouse over one, where wanted.
  constructor(label, { choose, hover, leave }) {
    this.handlers = { choose, hover, leave };
    this.node = element("div", { class: "chips", role: "group", "aria-label": label });
    this.shown = "";
  }

  // tokens: [{ name, label }]
  arrange(tokens) {
    const asked = JSON.stringify(tokens);
    if (asked === this.shown) return;
    this.shown = asked;
    const { choose, hover, leave } = this.handlers;
    const chips = tokens.map(({ name, label }) =>
      element(
        "button",
        {
          class: "chip",
          type: "button",
          "data-token": name,
          onpointerenter: (event) => hover && event.pointerType === "mouse" && hover(name),
          onpointerleave: () => leave?.(),
          onclick: () => choose(name),
        },
        element("span", { class: "chip-name", text: label }),
        element("span", { class: "chip-value", hidden: true }),
      ),
    );
    this.node.replaceChildren(...chips);
    this.node.hidden = !chips.length;
  }

  // look(name) -> { pressed, asked, read, value: { text, colour, ink } }, all but the first where there are such
  paint(look) {
    for (const chip of this.node.children) {
      const { pressed, asked = false, read = false, value } = look(chip.dataset.token);
      chip.classList.toggle("asked", asked);
      chip.classList.toggle("read", read);
      setAttribute(chip, "aria-pressed", pressed);
      const shown = chip.lastElementChild;
      shown.hidden = !value;
      if (!value) continue;
      setText(shown, value.text);
      shown.style.background = value.colour;
      shown.style.color = value.ink;
    }
  }

  // The middle of a chip on the page, null where there is none of that name.
  middleOf(name) {
    const chip = [...this.node.children].find((node) => node.dataset.token === name);
    if (!chip) return null;
    const { left, width } = chip.getBoundingClientRect();
    return left + width / 2;
  }
}
