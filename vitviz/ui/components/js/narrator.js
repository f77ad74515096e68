// Puts what is seen into words: the question, the answer, the text alternative of the picture, and the live region.

import { Announcer } from "./announcer.js";
import { element, setAttribute, setText } from "./element.js";
import { alternative, say, strongestWords, tokenWords, valueWords, verb } from "./say.js";

export class Narrator {
  // canvas: the picture that the text alternative is for.
  constructor(canvas) {
    this.canvas = canvas;
    this.asked = element("p", { class: "asked" });
    this.state = element("p", { class: "state" });
    this.reading = element("p", { class: "reading" });
    this.live = element("p", { class: "unseen", "aria-live": "polite" });
    this.announcer = new Announcer(this.live);
    this.node = element("div", { class: "words" }, element("div", { class: "headline" }, this.asked, this.state), this.reading);
  }

  // marks: { target, pinned }. head: whose numbers are read out. busy: another layer is on its way.
  tell(answer, view, { target, pinned }, head, busy) {
    const source = tokenWords(answer.layouts.source, answer.source);
    const said = view.head === head ? view : { ...view, head };
    setText(this.asked, say("asked", { source, verb: verb(view.direction) }));
    setText(this.state, busy ? say("loading", { layer: view.layer }) : say(pinned ? "state_pinned" : "state_free"));
    setText(this.reading, target === null ? strongestWords(answer, head) : valueWords(answer, head, target));
    const label = alternative(answer, said, pinned);
    setAttribute(this.canvas, "aria-label", label);
    const spoken = target === null ? label : this.reading.textContent;
    if (spoken !== this.spoken) this.announcer.say(spoken);
    this.spoken = spoken;
  }

  stop() {
    this.announcer.stop();
  }
}
