// What is being looked at, and how: the one state of the microscope. Small enough to be sent to Python whole.

import { Reports } from "./reports.js";

export const RESTING = {
  token: null, // the pinned token's name: "r3c5", "cls", "reg0"; null when nothing is pinned
  layer: 0,
  head: "all", // "all", "mean" or a number
  direction: "at", // "at": where the token looks; "by": who looks at it
  measure: "weight", // "weight" or "value"
  scale: "robust", // "robust" or "raw"
  shared: false, // one scale for all heads
  links: false, // arcs over the picture
};

const REPORT_AFTER_MS = 150;

export class Selection {
  constructor(send) {
    this.current = { ...RESTING };
    this.reportedAt = -Infinity;
    this.reports = new Reports((report) => {
      this.reportedAt = performance.now();
      send(report);
    });
  }

  // selection: Python's, as it was when Python had heard of the choice number `heard`; older ones are passed over.
  take(heard, selection) {
    if (this.reports.answeredBy(heard)) this.current = { ...RESTING, ...selection };
  }

  // The browser's own change. The first of a burst is reported at once, and then no more than one in REPORT_AFTER_MS: a held
  // arrow key must not start a script run for every patch it passes.
  change(part) {
    this.current = { ...this.current, ...part };
    const burst = performance.now() - this.reportedAt <= REPORT_AFTER_MS;
    this.reports.make({ ...this.current }, burst ? REPORT_AFTER_MS : 0);
  }

  stop() {
    this.reports.drop();
  }
}
