// Numbers what is chosen here, so that a reply from Python is known for late: Python says with everything it sends which number
// it had received by then, from any component of the page. No DOM.

let last = 0; // largest number given in this module

// Numbers rise within a page, across the modules of all its components.
function next() {
  last = Math.max(last + 1, Math.round(performance.timeOrigin + performance.now()));
  return last;
}

export class Reports {
  // send(value, number): sends it to Python.
  constructor(send) {
    this.send = send;
    this.sentAt = -Infinity; // when something was sent last
    this.number = 0; // Python has to have received this one before it may move anything here
    this.pending = null; // { value, timer } of a choice that has not been sent
  }

  // `value` is sent to Python after `delay` milliseconds, or what is chosen until then in its place: a held key asks once.
  // -> a number for `follow`
  make(value, delay = 0) {
    this.drop();
    this.pending = { value, timer: delay > 0 ? setTimeout(() => this.flush(), delay) : 0 };
    if (delay <= 0) this.flush();
    return next();
  }

  // Sends what waits, before something else is pressed.
  flush() {
    if (!this.pending) return;
    const { value } = this.pending;
    this.drop();
    this.number = next();
    this.sentAt = performance.now();
    this.send(value, this.number);
  }

  // What waits is not sent: it was about something that is no longer here.
  drop() {
    clearTimeout(this.pending?.timer);
    this.pending = null;
  }

  // A choice was made elsewhere that is shown here, too.
  follow(number) {
    this.number = Math.max(this.number, number);
  }

  // Whether a reply that goes with `received` knows of everything that was chosen here.
  answeredBy(received) {
    return this.pending === null && (received ?? 0) >= this.number;
  }
}

// The state of the microscope: what is being looked at, and how. Small enough to be sent to Python whole.
export const RESTING = {
  token: null, // the pinned token's name: "r3c5", "cls", "reg0"; null when nothing is pinned
  layer: 0,
  head: "all", // "all", "mean" or a number
  direction: "at", // "at": the row of the token as a query; "by": its column as a key
  measure: "weight", // "weight" or "value"
  scale: "robust", // "robust" or "raw"
  shared: false, // one scale for all heads
  links: true, // arcs over the picture
};

const REPORT_AFTER_MS = 150;

export class MicroscopeState {
  constructor(reports) {
    this.current = { ...RESTING };
    this.reports = reports;
  }

  // selection: Python's, as it was when Python had received the choice number `received`; older ones are passed over.
  take(received, selection) {
    if (this.reports.answeredBy(received)) this.current = { ...RESTING, ...selection };
  }

  // The browser's own change. The first of a burst is reported at once, and then no more than one in REPORT_AFTER_MS: a held
  // arrow key must not start a script run for every patch it passes.
  change(part) {
    this.current = { ...this.current, ...part };
    const burst = performance.now() - this.reports.sentAt <= REPORT_AFTER_MS;
    this.reports.make({ ...this.current }, burst ? REPORT_AFTER_MS : 0);
  }
}
