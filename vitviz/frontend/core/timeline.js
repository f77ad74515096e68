// The playhead of the journey: which step of the model is on the screen, and how far it has come. No DOM.
//
// Time is counted in steps: 0 to 1 cuts the photograph and lines the patches up, 1 to 2 gives them their positions, and each layer
// takes one more. The end is a finished state: all steps done.

export const PATCHES = 0;
export const POSITIONS = 1;
export const FIRST_LAYER = 2;

// Milliseconds of a step at normal speed. The first two are looked at as a whole; the last layers are slower, because there the
// answer forms.
const CUT_MS = 3600;
const POSITIONS_MS = 2000;
const LAYER_MS = 650;
const LATE_LAYER_MS = 1200;
const LATE_LAYERS = 3;

// CSS pixels of a patch in a line.
const LARGEST_CELL = 40;
const SMALLEST_CELL = 3;
const WHOLE_ROWS_WORTH = 0.85;

export class Timeline {
  constructor(layers) {
    this.layers = layers;
    this.at = 0;
    this.speed = 1;
    this.playing = false;
  }

  get end() {
    return FIRST_LAYER + this.layers;
  }

  // All layers have run, and the answer is still to come.
  get beforeAnswer() {
    return this.end - 1e-3;
  }

  get finished() {
    return this.at >= this.end;
  }

  // The step under way; one that has just ended, until the next begins.
  get step() {
    return Math.max(0, Math.ceil(this.at) - 1);
  }

  // The layer under way, or -1 before the first.
  get layer() {
    return this.step - FIRST_LAYER;
  }

  // Layers that have run to their end.
  get done() {
    return Math.max(0, Math.floor(this.at) - FIRST_LAYER);
  }

  // How far a step has come, 0 to 1.
  progress(step) {
    return Math.min(1, Math.max(0, this.at - step));
  }

  duration(step) {
    if (step === PATCHES) return CUT_MS;
    if (step === POSITIONS) return POSITIONS_MS;
    return step >= this.end - LATE_LAYERS ? LATE_LAYER_MS : LAYER_MS;
  }

  // Begins at the start again where it stands at the end.
  play() {
    if (this.finished) this.at = 0;
    this.playing = true;
  }

  pause() {
    this.playing = false;
  }

  // What `restore` brings back, when the figure comes to the page again.
  get state() {
    const { at, speed, playing } = this;
    return { at, speed, playing };
  }

  restore({ at, speed, playing }) {
    this.speed = speed;
    this.seek(at);
    this.playing = playing && !this.finished;
  }

  seek(at) {
    this.at = Math.min(this.end, Math.max(0, at));
  }

  // To the next or the last whole step.
  jump(by) {
    this.playing = false;
    this.seek(by > 0 ? Math.floor(this.at + 1e-9) + 1 : Math.ceil(this.at - 1e-9) - 1);
  }

  // `ms` of a clock later, across the ends of steps, which differ in length. -> whether anything moves still
  advance(ms) {
    let left = ms * this.speed;
    while (this.playing && left > 0) {
      const step = Math.floor(this.at);
      const rest = (step + 1 - this.at) * this.duration(step);
      if (left < rest) {
        this.at += left / this.duration(step);
        break;
      }
      left -= rest;
      this.at = step + 1;
      if (this.finished) this.playing = false;
    }
    return this.playing;
  }
}

// How far one of `count` things has come at `progress` (0..1) of a step in which they start one after another and each takes `share`.
export function staggered(progress, index, count, share) {
  const start = count > 1 ? ((1 - share) * index) / (count - 1) : 0;
  return eased(Math.min(1, Math.max(0, (progress - start) / share)));
}

// Cubic, slow at both ends.
export function eased(t) {
  return t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2;
}

// The largest square cells in which the patches of a grid fill lines of a given width, each line with a second row of the same height
// for positions. Whole rows of the grid stand in a line where that costs little. -> { size, columns, lines, height } in CSS pixels
export function sequenceLines([rows, cols], width, height, gap) {
  const count = rows * cols;
  const fit = (columns) => {
    const size = Math.min(LARGEST_CELL, width / columns);
    const lines = Math.ceil(count / columns);
    return { size, columns, lines, height: lines * (2 * size + gap) };
  };
  const first = (step) => {
    for (let columns = step; columns < count + step; columns += step) {
      const found = fit(Math.min(columns, count));
      if (found.size * columns <= width + 1 && found.height <= height) return found;
    }
    return null;
  };
  const [free, whole] = [first(1), first(cols)];
  if (whole && whole.size >= WHOLE_ROWS_WORTH * (free?.size ?? 0)) return whole;
  return free ?? fit(Math.max(1, Math.floor(width / SMALLEST_CELL)));
}
