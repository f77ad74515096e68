// Numbers what is chosen here, so that a reply from Python is known for late: Python says with everything it sends which number
// it had heard by then, from any component of the page. No DOM.

let last = 0; // largest number given in this module

// Numbers rise within a page, across the modules of all its components.
function next() {
  last = Math.max(last + 1, Math.round(performance.timeOrigin + performance.now()));
  return last;
}

export class Reports {
  // send({ number, value }): tells Python.
  constructor(send) {
    this.send = send;
    this.number = 0; // Python has to have heard of this one before it may move anything here
    this.pending = null; // { value, timer } of a choice that has not been sent
  }

  // Python hears of `value` after `delay` milliseconds, or of what is chosen until then in its place: a held key asks once.
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
    this.send({ number: this.number, value });
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

  // Whether a reply that goes with `heard` knows of everything that was chosen here.
  answeredBy(heard) {
    return this.pending === null && (heard ?? 0) >= this.number;
  }
}
