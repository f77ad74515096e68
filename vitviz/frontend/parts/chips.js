// Tokens that are no patches, as a row of buttons. The buttons stay while the tokens are the same, and with them the focus.

import { element, setAttribute, setText } from "./dom.js";

export class Chips {
  // label: of the group. choose(name); where wanted, hover(name) and leave() for a mouse over one, and moved() when they lie elsewhere.
  constructor(label, { choose, hover, leave, moved }) {
    this.handlers = { choose, hover, leave };
    this.moved = 0; // how often they came to lie elsewhere
    this.middles = new Map(); // name -> CSS pixels from the row's left edge
    this.observer = moved && new ResizeObserver(() => this.#measure(moved));
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
    this.observer?.disconnect();
    for (const chip of chips) this.observer?.observe(chip);
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

  // The middle of a chip, from the row's left edge; null where there is none of that name.
  middleOf(name) {
    return this.middles.get(name) ?? null;
  }

  // Once the browser has laid the page out: asking in the middle of a frame could make it do so again.
  #measure(moved) {
    const [{ left }, before] = [this.node.getBoundingClientRect(), JSON.stringify([...this.middles])];
    const middles = [...this.node.children].map((chip) => {
      const box = chip.getBoundingClientRect();
      return [chip.dataset.token, box.left + box.width / 2 - left];
    });
    this.middles = new Map(middles);
    if (JSON.stringify(middles) === before) return;
    this.moved += 1;
    moved();
  }
}
