// The playback position of the journey: which step of the model is shown, and how far it has progressed. It uses no DOM.
//
// Positions are counted in steps. From 0 to 1 the photograph is cut into patches, which move into a sequence; from 1 to 2 positions
// are added; then each layer takes one step. The largest position is the finished figure.

export const PATCHES = 0;
export const POSITIONS = 1;
export const FIRST_LAYER = 2;

// Milliseconds of a step at normal speed. The last layers are slower, because the prediction is formed there.
const CUT_MS = 3600;
const POSITIONS_MS = 2000;
const LAYER_MS = 650;
const LATE_LAYER_MS = 1200;
const LATE_LAYERS = 3;

// CSS pixels of a patch in the sequence.
const LARGEST_CELL = 40;
const SMALLEST_CELL = 3;
const WHOLE_ROWS_WORTH = 0.9;

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

  // The position at which all layers are done and the prediction is not shown yet.
  get beforeAnswer() {
    return this.end - 1e-3;
  }

  get finished() {
    return this.at >= this.end;
  }

  // The current step; at the boundary of two steps, the one that has ended.
  get step() {
    return Math.max(0, Math.ceil(this.at) - 1);
  }

  // The current layer, or -1 before the first.
  get layer() {
    return this.step - FIRST_LAYER;
  }

  // The number of layers that are done.
  get done() {
    return Math.max(0, Math.floor(this.at) - FIRST_LAYER);
  }

  // -> the progress of a step, 0 to 1
  progress(step) {
    return Math.min(1, Math.max(0, this.at - step));
  }

  duration(step) {
    if (step === PATCHES) return CUT_MS;
    if (step === POSITIONS) return POSITIONS_MS;
    return step >= this.end - LATE_LAYERS ? LATE_LAYER_MS : LAYER_MS;
  }

  // Starts playback, from the beginning if the position is at the end.
  play() {
    if (this.finished) this.at = 0;
    this.playing = true;
  }

  pause() {
    this.playing = false;
  }

  // The state for `restore`, when Streamlit mounts the figure again.
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

  // Moves to the next or the previous whole step.
  jump(by) {
    this.playing = false;
    this.seek(by > 0 ? Math.floor(this.at + 1e-9) + 1 : Math.ceil(this.at - 1e-9) - 1);
  }

  // Advances by `ms` of a clock. It may pass several steps, whose durations differ. -> whether playback continues
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

// -> the progress of item `index` of `count` items that start one after another, each taking the fraction `share` of a step, at
// `progress` (0..1) of the step
export function staggered(progress, index, count, share) {
  const start = count > 1 ? ((1 - share) * index) / (count - 1) : 0;
  return eased(Math.min(1, Math.max(0, (progress - start) / share)));
}

// Cubic easing, slow at both ends.
export function eased(t) {
  return t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2;
}

// The largest square cells with which the patches of a grid, in lines of that width, fit the given height; below each line is a
// second row of the same height, for positions. A line holds whole rows of the grid if the cells become only a little smaller.
// -> { size, columns, lines, height } in CSS pixels
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
