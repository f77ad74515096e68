// How the journey is played: the playhead and what moves it, the frames in between, and how dark the photograph is meanwhile.

import { FIRST_LAYER } from "../core/timeline.js";
import { setAttribute } from "../parts/dom.js";
import { JourneyPainter } from "./journey_painter.js";

const FADE_MS = 90; // of the dimming of the photograph
const LARGEST_STEP_MS = 100; // after the page was in the background the playback goes on where it was

export class JourneyPlayback extends JourneyPainter {
  // The state before the figure was removed: by a change of the page, or by Streamlit, which may mount it anew.
  restore(kept) {
    this.timeline.restore(kept);
    Object.assign(this, { seen: kept.seen, reached: kept.reached, open: kept.open, inPlace: kept.inPlace });
    this.setSpeed(kept.speed);
    this.run();
  }

  // Plays by itself at first. Where reduced motion is preferred all layers are shown at once, and the next step is the answer.
  begin() {
    this.endBrushing();
    if (this.reducedMotion.matches) this.timeline.seek(this.timeline.beforeAnswer);
    else {
      this.timeline.play();
      this.run();
    }
  }

  toggle() {
    this.clearNotice();
    if (this.timeline.playing) return this.pause();
    if (!this.shown) return;
    this.endBrushing();
    if (this.reducedMotion.matches) return this.timeline.finished ? this.seek(0) : this.jump(1);
    this.timeline.play();
    this.run();
    this.repaint();
  }

  // What is played shows attention in place of what is painted.
  endBrushing() {
    if (this.brushing) this.setBrushing(false);
  }

  pause() {
    this.timeline.pause();
    this.repaint();
    this.announce();
  }

  jump(by) {
    this.clearNotice();
    this.endBrushing();
    this.timeline.jump(by);
    this.refresh();
    this.announce();
  }

  seek(at) {
    this.clearNotice();
    this.endBrushing();
    this.timeline.pause();
    this.timeline.seek(at);
    this.refresh();
  }

  // A click on a step's name goes to its end; on the layer that is shown already it opens the heads.
  pressStep(step) {
    const layer = step - FIRST_LAYER;
    const there = this.timeline.at === step + 1;
    // A windowed model's layers come as maps of one token, with no heads to open.
    const closed = layer < 0 || this.layers[layer]?.values || (there && this.open === layer);
    this.showStep(step, !closed && (there || this.open !== null) ? layer : null);
  }

  // The heads of the layer that is shown, in the place of the sequence, and the sequence again.
  showHeads() {
    const layer = this.layerOfHeads;
    this.showStep(layer + FIRST_LAYER, this.open === null ? layer : null);
  }

  get layerOfHeads() {
    return this.open ?? (this.timeline.layer >= 0 ? this.timeline.layer : this.layers.length - 1);
  }

  // The end of a step. open: the layer whose heads are shown with it, or null
  showStep(step, open) {
    this.clearNotice();
    this.endBrushing();
    this.timeline.pause();
    this.timeline.seek(step + 1);
    this.open = open;
    if (open !== null) this.inPlace = null;
    this.arrange();
    this.refresh();
    this.announce();
  }

  // What belongs to the patch that is asked about, in the place where a layer's heads open: "pixels", "positions", or null.
  showInPlace(part) {
    this.clearNotice();
    this.inPlace = part;
    if (part !== null) this.open = null;
    if (part === "positions") this.loadPositions();
    this.arrange();
    this.repaint();
    if (part === "positions") this.announcer.announce(this.positionsText());
  }

  // One class after each layer, by a press on its bar; null for the bars again.
  showCurve(name) {
    const row = this.figure.rows.find(({ key }) => key === this.curve) ?? this.figure.rows[0];
    this.curve = name;
    this.paint(); // before the focus goes there
    if (name === null) row.button.focus();
    else this.figure.curve.querySelector("button").focus();
  }

  setSpeed(speed) {
    this.timeline.speed = speed;
    for (const button of this.figure.speeds) setAttribute(button, "aria-pressed", button.textContent === `${speed}×`);
  }

  run() {
    if (this.clock) return;
    let last = performance.now();
    const tick = (now) => {
      const ms = Math.min(LARGEST_STEP_MS, now - last);
      last = now;
      const playing = this.timeline.advance(ms);
      const fading = this.fading(ms);
      const moving = playing || fading;
      this.repaint(true);
      this.clock = moving ? requestAnimationFrame(tick) : 0;
      if (!moving) this.announce();
    };
    this.clock = requestAnimationFrame(tick);
  }

  fading(ms) {
    const aim = this.dimTarget();
    if (this.reducedMotion.matches) this.dim = aim;
    else this.dim += (aim - this.dim) * (1 - Math.exp(-ms / FADE_MS));
    if (Math.abs(aim - this.dim) < 0.01) this.dim = aim;
    return this.dim !== aim;
  }

  // The photograph is dark while it shows attention, and in colour at the end, where patches are painted.
  dimTarget() {
    if (this.brushing) return 0;
    if (this.finished && this.hovered === null && this.pinned === null) return 0;
    return this.seen >= FIRST_LAYER && (this.timeline.at > FIRST_LAYER || this.hovered !== null) ? 1 : 0;
  }

  get finished() {
    return this.timeline.finished;
  }

  // The frames after a change: now, and while something fades.
  refresh(now = false) {
    this.reach();
    if (!this.timeline.playing && this.dimTarget() !== this.dim) this.run();
    this.repaint(now);
  }

  reach() {
    this.reached = Math.max(this.reached, this.timeline.at);
    this.seen = Math.max(this.seen, this.reached);
  }
}
