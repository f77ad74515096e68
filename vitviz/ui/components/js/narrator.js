// Puts what is seen into words: the question, the answer, the text alternative of the picture, and the live region.

import { element, setAttribute, setText } from "./element.js";
import { alternative, say, strongestWords, tokenWords, valueWords, verb } from "./say.js";

const PAUSE_MS = 900; // between two announcements

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

  // While another question is on its way, nothing is said of the last one.
  wait(text) {
    setText(this.state, text);
    setText(this.reading, "");
    setAttribute(this.canvas, "aria-label", text);
    if (text !== this.spoken) this.announcer.say(text);
    this.spoken = text;
  }

  // marks: { target, pinned }. head: whose numbers are read out.
  tell(answer, view, { target, pinned }, head) {
    const source = tokenWords(answer.layouts.source, answer.source);
    const said = view.head === head ? view : { ...view, head };
    setText(this.asked, say("asked", { source, verb: verb(view.direction) }));
    setText(this.state, say(pinned ? "state_pinned" : "state_free"));
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

// A live region: says the last thing, and not more often than it can be heard.
class Announcer {
  constructor(node) {
    this.node = node;
    this.timer = 0;
    this.spokenAt = -Infinity;
  }

  say(text) {
    this.text = text;
    if (this.timer) return;
    const wait = Math.max(0, PAUSE_MS - (performance.now() - this.spokenAt));
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.spokenAt = performance.now();
      setText(this.node, this.text);
    }, wait);
  }

  stop() {
    clearTimeout(this.timer);
  }
}
