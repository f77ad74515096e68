// A live region for screen readers: says the last thing, and not more often than it can be heard.

import { setText } from "./element.js";

const PAUSE_MS = 900;

export class Announcer {
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
