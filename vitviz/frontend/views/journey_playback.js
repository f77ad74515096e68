// Playback of the journey: its controls, the animation frames, and the dimming of the photograph during playback.

import { FIRST_LAYER } from "../core/timeline.js";
import { setAttribute } from "../parts/dom.js";
import { JourneyPainter } from "./journey_painter.js";

const FADE_MS = 90; // time constant of the dimming
const LARGEST_STEP_MS = 100; // longest advance in one frame; a hidden tab pauses playback

export class JourneyPlayback extends JourneyPainter {
  // Restores the state from before the figure was removed, by a change of page or because Streamlit mounts it again.
  restore(kept) {
    this.timeline.restore(kept);
    Object.assign(this, { seen: kept.seen, reached: kept.reached, open: kept.open, inPlace: kept.inPlace });
    this.setSpeed(kept.speed);
    this.run();
  }

  // Starts playback when a photograph is first shown. With the preference for reduced motion all layers are shown at once, and the
  // prediction after the next step.
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

  // Ends the hiding of patches, because playback shows attention over the photograph.
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

  // A click on a step goes to its end. A click on the layer that is already shown opens its heads.
  pressStep(step) {
    const layer = step - FIRST_LAYER;
    const there = this.timeline.at === step + 1;
    // Layers of a windowed model are maps of one token, without heads to open.
    const closed = layer < 0 || this.layers[layer]?.values || (there && this.open === layer);
    this.showStep(step, !closed && (there || this.open !== null) ? layer : null);
  }

  // Opens the heads of the shown layer in place of the sequence, or closes them.
  showHeads() {
    const layer = this.layerOfHeads;
    this.showStep(layer + FIRST_LAYER, this.open === null ? layer : null);
  }

  get layerOfHeads() {
    return this.open ?? (this.timeline.layer >= 0 ? this.timeline.layer : this.layers.length - 1);
  }

  // Goes to the end of a step. open: the layer whose heads are opened, or null
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

  // Opens details of the query patch in place of the sequence: "pixels", "positions", or null to close them.
  showInPlace(part) {
    this.clearNotice();
    this.inPlace = part;
    if (part !== null) this.open = null;
    if (part === "positions") this.loadPositions();
    this.arrange();
    this.repaint();
    if (part === "positions") this.announcer.announce(this.positionsText());
    // On a phone its place may be below the screen.
    if (part !== null && this.size?.narrow) this.figure.sequenceSection.scrollIntoView({ block: "nearest", behavior: this.reducedMotion.matches ? "auto" : "smooth" });
  }

  // Opens the values of one class after each layer, at a click on its bar; null shows the bars again.
  showCurve(name) {
    const row = this.figure.rows.find(({ key }) => key === this.curve) ?? this.figure.rows[0];
    this.curve = name;
    this.paint(); // otherwise the button is hidden and cannot get the focus
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

  // The photograph is dark while it shows attention. It is in colour at the end, and while patches are being hidden.
  dimTarget() {
    if (this.brushing) return 0;
    if (this.finished && this.hovered === null && this.pinned === null) return 0;
    return this.seen >= FIRST_LAYER && (this.timeline.at > FIRST_LAYER || this.hovered !== null) ? 1 : 0;
  }

  get finished() {
    return this.timeline.finished;
  }

  // Paints the frames after a change: the current one, and those of a fading animation.
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
