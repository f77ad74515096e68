// The controls above and below the maps: plain buttons, lists and sliders, so that every browser and reader knows them.

import { element, setAttribute, setText } from "./dom.js";

export class Controls {
  // change(part): a part of the selection changed. blend(value): how much of the map lies over the picture, 0..1.
  constructor(words, { change, blend }, firstBlend) {
    const say = (key) => words.say(key);
    Object.assign(this, { words, change });
    this.layerName = element("output", { class: "layer-name" });
    this.layer = element("input", {
      type: "range", min: "0", "aria-label": say("layer_slider"), oninput: () => change({ layer: Number(this.layer.value) }),
    });
    const stepper = (by, sign, label) =>
      element("button", { type: "button", class: "step", text: sign, "aria-label": label, onclick: () => this.#stepLayer(by) });
    this.directions = ["at", "by"].map((direction) =>
      element("button", { type: "button", text: say(`verb_${direction}`), onclick: () => change({ direction }) }),
    );
    this.head = choice(say, "heads", [], (value) => change({ head: /^\d+$/.test(value) ? Number(value) : value }));
    this.measure = choice(say, "measure", [["weight", "measure_weight"], ["value", "measure_value"]], (measure) => change({ measure }));
    this.scale = choice(say, "scale", [["robust", "option_robust"], ["raw", "option_raw"]], (scale) => change({ scale }));
    this.shared = tick(say, "shared", (shared) => change({ shared }));
    this.links = tick(say, "links", (links) => change({ links }));
    this.blend = element("input", {
      type: "range", min: "0", max: "1", step: "0.05", value: firstBlend, "aria-label": say("blend"),
      oninput: () => blend(Number(this.blend.value)),
    });

    this.above = element(
      "div", { class: "bar" },
      element("div", { class: "layer" }, stepper(-1, "‹", say("layer_before")), this.layerName, stepper(1, "›", say("layer_after")), this.layer),
      element("div", { class: "segments", role: "group", "aria-label": say("direction") }, ...this.directions),
      this.head.list, // "all heads" needs no label to be seen
    );
    this.below = element(
      "div", { class: "bar" },
      this.measure.node, this.scale.node, this.shared.node, this.links.node,
      element("label", { class: "blend" }, element("span", { text: say("blend_picture") }), this.blend, element("span", { text: say("blend_map") })),
    );
  }

  #stepLayer(by) {
    const layer = Number(this.layer.value) + by;
    if (layer >= 0 && layer <= Number(this.layer.max)) this.change({ layer });
  }

  // weights: those of the shown layer, null before the first has arrived.
  update(view, numLayers, weights) {
    const { words } = this;
    const heads = weights ? weights.heads : 0;
    const hasValueNorm = Boolean(weights) && weights.hasValueNorm;
    setAttribute(this.layer, "max", numLayers - 1);
    this.layer.value = view.layer;
    this.layer.hidden = numLayers < 2;
    setText(this.layerName, words.say("layer", { layer: view.layer, last: numLayers - 1 }));
    this.directions.forEach((button, i) => setAttribute(button, "aria-pressed", view.direction === ["at", "by"][i]));
    if (heads && this.heads !== heads) {
      this.heads = heads;
      const entries = [["all", words.say("all_heads")], ...["mean", ...Array(heads).keys()].map((head) => [head, words.head(head)])];
      this.head.list.replaceChildren(...entries.map(([value, text]) => element("option", { value, text })));
    }
    this.head.list.value = String(view.head);
    this.measure.list.disabled = !hasValueNorm;
    this.measure.node.title = words.say(hasValueNorm ? "measure_help" : "measure_absent");
    this.measure.list.value = hasValueNorm ? view.measure : "weight";
    this.scale.list.value = view.scale;
    this.shared.box.checked = view.shared;
    this.links.box.checked = view.links;
  }
}

function choice(say, name, entries, change) {
  const list = element("select", { "aria-label": say(name), onchange: () => change(list.value) }, ...entries.map(([value, key]) => element("option", { value, text: say(key) })));
  return { list, node: element("label", { class: "choice" }, element("span", { text: say(name) }), list) };
}

function tick(say, name, change) {
  const box = element("input", { type: "checkbox", onchange: () => change(box.checked) });
  return { box, node: element("label", { class: "tick" }, box, element("span", { text: say(name) })) };
}
