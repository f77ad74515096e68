// Controls of the views: buttons for tokens that are not patches (chips), and the row of controls of the microscope. They are
// native buttons, lists and sliders, which assistive technology supports.

import { element, setAttribute, setText } from "./dom.js";

// A row of buttons, one for each token that is not a patch, such as the class token. They are created again only if the tokens
// change, so that the focus is kept.
export class Chips {
  // label: of the group. choose(name): a button is pressed. Optional: hover(name) and leave() for a mouse over a button, moved()
  // after the layout of the buttons has changed.
  constructor(label, { choose, hover, leave, moved }) {
    this.handlers = { choose, hover, leave };
    this.moved = 0; // count of changes of their layout
    this.middles = new Map(); // name -> middle of the button, in CSS pixels from the left edge of the row
    this.observer = moved && new ResizeObserver(() => this.#measure(moved));
    this.node = element("div", { class: "chips", role: "group", "aria-label": label });
    this.shown = "";
  }

  // tokens: [{ name, label }], in the order of the buttons
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
          onpointerleave: (event) => event.pointerType === "mouse" && leave?.(),
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

  // stateOf(name) -> { pressed, asked, read, value: { text, colour, ink } }; all but `pressed` are optional
  paint(stateOf) {
    for (const chip of this.node.children) {
      const { pressed, asked = false, read = false, value } = stateOf(chip.dataset.token);
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

  // -> the middle of a button in CSS pixels from the left edge of the row, or null for an unknown name
  middleOf(name) {
    return this.middles.get(name) ?? null;
  }

  // Measures the buttons after the browser's layout; reading positions during a frame could force another layout.
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

// The microscope's controls: layer, direction, head and playback in a row, and a second row that is shown on request.
export class Controls {
  // change(part): changes a part of the selection. play(): starts or stops playing through the layers. blend(value): opacity of the
  // map over the picture, 0..1. memory: stores whether the second row of controls is open.
  constructor(words, { change, blend, play }, firstBlend, memory) {
    const label = (key) => words.format(key);
    Object.assign(this, { words, change, memory });
    this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.layerName = element("output", { class: "layer-name" });
    this.layer = element("input", {
      type: "range", min: "0", "aria-label": label("layer_slider"), oninput: () => change({ layer: Number(this.layer.value) }),
    });
    const stepper = (by, sign, label) =>
      element("button", { type: "button", class: "step", text: sign, "aria-label": label, onclick: () => this.#stepLayer(by) });
    this.directions = ["at", "by"].map((direction) =>
      element("button", { type: "button", text: label(`verb_${direction}`), onclick: () => change({ direction }) }),
    );
    this.head = choice(label, "heads", [], (value) => change({ head: /^\d+$/.test(value) ? Number(value) : value }));
    this.measure = choice(label, "measure", [["weight", "measure_weight"], ["value", "measure_value"]], (measure) => change({ measure }));
    this.scale = choice(label, "scale", [["robust", "option_robust"], ["raw", "option_raw"]], (scale) => change({ scale }));
    this.shared = tick(label, "shared", (shared) => change({ shared }));
    this.links = tick(label, "links", (links) => change({ links }));
    this.blend = element("input", {
      type: "range", min: "0", max: "1", step: "0.05", value: firstBlend, "aria-label": label("blend"),
      oninput: () => blend(Number(this.blend.value)),
    });

    this.play = element("button", { type: "button", class: "step", onclick: play });
    const onclick = () => this.#open(this.below.hidden);
    this.more = element("button", { type: "button", class: "more-of", "aria-expanded": "false", text: label("settings"), onclick });
    this.above = element(
      "div", { class: "bar" },
      element("div", { class: "layer" }, this.play, stepper(-1, "‹", label("layer_before")), this.layerName, stepper(1, "›", label("layer_after")), this.layer),
      element("div", { class: "segments", role: "group", "aria-label": label("direction") }, ...this.directions),
      this.head.list, // the list shows "all heads", which needs no label
      this.more,
    );
    const blending = element("label", { class: "blend" }, element("span", { text: label("blend_picture") }), this.blend, element("span", { text: label("blend_map") }));
    const rare = element("div", { class: "bar" }, this.measure.node, this.scale.node, this.shared.node, this.links.node, blending);
    this.below = element("div", { class: "more", hidden: true }, rare, element("p", { class: "help", text: label("keys") }));
    this.#open(memory.settings ?? false);
  }

  // Shows or hides the second row, with the controls that are rarely changed.
  #open(open) {
    this.memory.settings = open;
    this.below.hidden = !open;
    setAttribute(this.more, "aria-expanded", open);
  }

  #stepLayer(by) {
    const layer = Number(this.layer.value) + by;
    if (layer >= 0 && layer <= Number(this.layer.max)) this.change({ layer });
  }

  // weights: LayerWeights of the shown layer, or null before any are loaded.
  update(view, numLayers, weights, playing) {
    const { words } = this;
    // With the preference for reduced motion there is no playback.
    this.play.hidden = numLayers < 2 || this.reducedMotion.matches;
    setText(this.play, playing ? "❚❚" : "▶");
    setAttribute(this.play, "aria-label", words.format(playing ? "pause" : "play"));
    const heads = weights ? weights.heads : 0;
    const hasValueNorm = Boolean(weights) && weights.hasValueNorm;
    setAttribute(this.layer, "max", numLayers - 1);
    this.layer.value = view.layer;
    this.layer.hidden = numLayers < 2;
    setText(this.layerName, words.format("layer", { layer: view.layer, last: numLayers - 1 }));
    this.directions.forEach((button, i) => setAttribute(button, "aria-pressed", view.direction === ["at", "by"][i]));
    if (heads && this.heads !== heads) {
      this.heads = heads;
      const entries = [["all", words.format("all_heads")], ...["mean", ...Array(heads).keys()].map((head) => [head, words.head(head)])];
      this.head.list.replaceChildren(...entries.map(([value, text]) => element("option", { value, text })));
    }
    this.head.list.value = String(view.head);
    this.measure.list.disabled = !hasValueNorm;
    this.measure.node.title = words.format(hasValueNorm ? "measure_help" : "measure_absent");
    this.measure.list.value = hasValueNorm ? view.measure : "weight";
    this.scale.list.value = view.scale;
    this.shared.box.checked = view.shared;
    this.links.box.checked = view.links;
  }
}

function choice(label, name, entries, change) {
  const list = element("select", { "aria-label": label(name), onchange: () => change(list.value) }, ...entries.map(([value, key]) => element("option", { value, text: label(key) })));
  return { list, node: element("label", { class: "choice" }, element("span", { text: label(name) }), list) };
}

function tick(label, name, change) {
  const box = element("input", { type: "checkbox", onchange: () => change(box.checked) });
  return { box, node: element("label", { class: "tick" }, box, element("span", { text: label(name) })) };
}
