// The journey: a figure of one photograph's pass through the model. It can be played, shows attention in all layers for the
// patch under the pointer or a pinned token, and shows how the prediction changes when patches are hidden. This module connects
// the figure to Python and to events. The classes it extends are in the other journey_ modules, from journey_data.js
// (computation) to journey_playback.js.

import { middleOf, neighbour, patchNamed } from "../core/layout.js";
import { Mask, Reports } from "../core/state.js";
import { Timeline } from "../core/timeline.js";
import { Words } from "../core/words.js";
import { Loader, sourceOf } from "../data/source.js";
import { scaledUpload } from "../data/upload.js";
import { oncePerFrame, setAttribute, watchSize } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, pointUnder, STEPS, watchBrush } from "../parts/input.js";
import { Announcer, Status } from "../parts/view.js";
import { greyOf } from "../render/heat.js";
import { JourneyFigure } from "./journey_figure.js";
import { LINE_GAP } from "./journey_overlay.js";
import { JourneyPlayback } from "./journey_playback.js";

export const mount = (node, host) => new Journey(node, host);

class Journey extends JourneyPlayback {
  constructor(parent, host) {
    super();
    this.host = host;
    this.words = new Words(host.words);
    this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.timeline = new Timeline(12);
    this.given = null; // the last data from Python
    this.shown = null; // { data, picture, grey }, all of one photograph and model
    this.layers = []; // { weights, map, rows: Map, loader } of each layer of `shown`
    this.pinned = null; // name of the pinned token
    this.hovered = null; // name of the token under the pointer
    this.reached = 0; // the largest playback position with this photograph
    this.seen = 0; // the same, or the end after a patch was pinned, which shows the maps of all layers
    this.sent = null; // the query, if another page was opened with it while nothing was pinned
    this.dim = 0;
    this.open = null; // the layer whose heads are open
    this.hoverMoved = false; // whether the next painting is of a movement of the pointer alone
    this.inPlace = null; // what is open in place of the sequence: "pixels" or "positions" of a patch, or null
    this.positions = null; // { url, loader, numbers } of the comparison of positions, after it was opened
    this.curve = null; // the class whose values after each layer are shown
    this.brushing = false;
    this.notice = null; // a message in place of the caption, such as an error
    this.choices = 0; // count of selected photographs; a slow upload must not replace a later choice
    this.drawn = new Map(); // name of a canvas -> description of what it shows
    this.reports = new Reports((value, stamp) => host.report(value, stamp));
    this.figure = new JourneyFigure(this.words, {
      toggle: () => this.toggle(),
      jump: (by) => this.jump(by),
      seek: (at) => this.seek(at),
      step: (step) => this.pressStep(step),
      speed: (speed) => this.setSpeed(speed),
      open: (page) => this.openPage(page),
      brush: () => this.setBrushing(!this.brushing),
      hide: (what) => this.hide(what),
      choose: (id) => this.choose(id),
      scroll: () => this.repaint(),
      show: (part) => this.showInPlace(part === this.inPlace ? null : part),
      heads: () => this.showHeads(),
      curve: (name) => this.showCurve(name),
      upload: (file) => this.upload(file),
      failed: (what, reason) => this.notify(what, reason),
      pinOutputToken: () => this.pin(this.shown?.data.output_token ?? null),
    });
    this.loader = new Loader(sourceOf(host), {
      arrived: (request, payloads) => this.onLoaded(request, payloads),
      changed: () => this.showStatus(),
      stale: () => host.stale(),
    });
    this.status = new Status(this.words, () => [this, ...this.layers, this.positions, this.pointed].forEach((part) => part?.loader?.retry()));
    this.announcer = new Announcer();
    this.figure.root.prepend(this.status.node);
    this.figure.root.append(this.announcer.node);
    parent.append(this.figure.root);
    this.repaint = oncePerFrame(() => this.paint());
    this.listen();
    // If the height of one part changes (a title with two lines), other parts move, and their boxes are measured again.
    this.heights = new ResizeObserver(() => this.measure());
    this.heights.observe(this.figure.root);
    this.unwatch = watchSize(parent instanceof Element ? parent : this.figure.root, () => this.arrange());
  }

  listen() {
    const { photo, sequence, layerGrid, positionsCanvas, root } = this.figure;
    this.mask = new Mask(() => this.refresh(), { make: (_, delay) => this.report(this.reports.acknowledgedBy(this.given.received) ? 0 : delay), acknowledgedBy: (received) => this.reports.acknowledgedBy(received) });
    watchBrush(photo, this.mask, {
      at: (event) => this.grid && pointUnder(event, photo, this.grid),
      cursor: () => this.hovered && patchNamed(this.hovered),
      grid: () => (this.brushing && this.shown !== null ? this.grid : null),
      fingers: () => true,
      ended: () => {
        this.clearNotice();
        this.announce();
      },
    });
    const point = (find) => (event) => this.hover(find(event));
    const onPhoto = (event) => this.nameAt(this.cellAt(event));
    const onSequence = (event) => this.nameAt(this.cellInSequence(event));
    const onPositions = (event) => this.nameAt(this.cellInPositions(event));
    for (const [node, find] of [[photo, onPhoto], [sequence, onSequence], [layerGrid, (event) => this.nameInLayerGrid(event)], [positionsCanvas, onPositions]]) {
      // Raw updates, in browsers that have them, are fired before the frame, so that computation can start earlier.
      for (const moved of ["pointerrawupdate", "pointermove", "pointerdown"]) node.addEventListener(moved, point(find));
      node.addEventListener("pointerleave", () => this.hover(null));
      node.addEventListener("click", (event) => {
        // On a phone, patches in the map of a layer are too small to tap.
        if (node === layerGrid && this.size?.narrow && event.target.dataset?.step) return this.pressStep(Number(event.target.dataset.step));
        const name = find(event);
        if (name && !(node === photo && this.brushing)) this.pin(name);
      });
    }
    photo.addEventListener("keydown", (event) => this.key(event));
    photo.addEventListener("blur", () => this.hover(null)); // ends a hover by arrow keys
    root.addEventListener("keydown", (event) => {
      if (event.key === " " && !["BUTTON", "INPUT"].includes(event.target.tagName) && !this.brushing) {
        event.preventDefault();
        this.toggle();
      } else if (event.key === "Escape" && this.release()) event.preventDefault();
    });
    // The presenter's keys go through the steps, and after the last step to the next page.
    this.onStep = (event) => {
      if (!this.shown || (event.detail > 0 ? this.finished : this.timeline.at === 0)) return;
      event.preventDefault();
      this.jump(event.detail);
    };
    document.addEventListener("vitviz-step", this.onStep);
    this.unflush = flushOnLeaving(photo, this.reports);
    this.onReducedMotion = () => this.timeline.playing && this.reducedMotion.matches && this.pause();
    this.reducedMotion.addEventListener("change", this.onReducedMotion);
  }

  destroy() {
    const { seen, reached, open, inPlace, sent } = this;
    if (this.shown) this.host.memory.playback = { question: this.shown.data.question, seen, reached, open, inPlace, sent, ...this.timeline.state };
    this.choices += 1;
    cancelAnimationFrame(this.clock);
    this.repaint.stop();
    this.loader.stop();
    for (const { loader } of this.layers) loader?.stop();
    this.positions?.loader.stop();
    if (this.idle) window.cancelIdleCallback(this.idle);
    cancelAnimationFrame(this.wordsFrame);
    clearTimeout(this.wordsTimer);
    this.unloadPointed();
    this.figure.camera.close();
    this.status.destroy();
    this.announcer.destroy();
    this.unwatch();
    this.heights.disconnect();
    this.unflush();
    this.reducedMotion.removeEventListener("change", this.onReducedMotion);
    document.removeEventListener("vitviz-step", this.onStep);
    this.reports.drop();
    this.figure.root.remove();
  }

  // Data from Python.

  update(data) {
    const before = this.given;
    this.given = data;
    if (this.reports.acknowledgedBy(data.received)) this.pinned = data.pinned || null;
    if (before && before.question !== data.question) {
      this.reports.drop();
      this.mask.clear();
    }
    this.mask.show(data.mask, data.received);
    if (this.brushing && !data.hiding && !data.starting) this.setBrushing(false);
    // Streamlit may call again with the same data, for example after a change of theme. The refusal of an upload is shown once.
    const refused = data.refused && `${data.received} ${data.refused}`;
    if (refused && this.host.memory.refused !== refused) this.say(data.refused);
    if (refused) this.host.memory.refused = refused;
    this.figure.linkTitles(data.pages);
    this.figure.arrangeGallery(data.gallery, data.image);
    if (!this.shown) this.arrange();
    const { picture, covered, features } = data;
    this.loader.load({ urls: { picture, ...(covered && { covered }), ...(features && { features }) }, data });
  }

  // Everything for a request is loaded: picture, layers and prediction change together.
  onLoaded({ data }, { picture: { picture }, covered, features }) {
    const before = this.shown;
    const same = before !== null && before.data.question === data.question;
    this.shown = { data, picture, covered: covered?.picture, features: features?.picture, grey: same && before.picture === picture ? before.grey : greyOf(picture) };
    const kept = before === null && this.host.memory.playback?.question === data.question ? this.host.memory.playback : null;
    if (!same) {
      this.timeline = Object.assign(new Timeline(data.layers.length), { speed: this.timeline.speed });
      this.dim = 0;
      Object.assign(this, { seen: 0, reached: 0, open: null, curve: null, notice: null });
      setAttribute(this.figure.photo, "aria-label", this.words.format("photo_label", { alt: data.alt }));
      this.announcer.labels.delete(this.figure.photo); // a waiting label describes the previous photograph
      if (kept) this.restore(kept);
      else this.begin();
    } else if (this.notice === this.words.format("upload_reading")) this.clearNotice(); // the same photograph was uploaded again
    this.loadLayers(data);
    if (this.inPlace === "positions") this.loadPositions();
    if (kept?.sent && kept.sent === this.pinned) this.pin(null); // another page was opened with this token, which was not pinned here
    this.drawn.clear();
    if (!same || before.picture !== picture) this.arrange();
    else this.repaint();
    if (same && before.data.mask.join() !== data.mask.join()) this.announce();
  }

  showStatus() {
    this.figure.root.classList.toggle("busy", this.loader.state !== "shown");
    // A failed layer does not affect the others.
    const loaders = [this.loader, ...this.layers.map(({ loader }) => loader), this.positions?.loader, this.pointed?.loader];
    const failed = loaders.find((loader) => loader?.error) ?? this.loader;
    const layer = this.layers.findIndex((each) => each.loader === failed || (each === this.pointed?.layer && this.pointed.loader === failed));
    const { error, missing } = failed;
    this.status.show(this.figure.root, { state: this.loader.state, error, missing }, { layer });
  }

  // Reports everything that is chosen here, after any change. -> the number of the report
  report(delay = 0) {
    const cells = [...this.mask.cells].sort((one, other) => one - other);
    return this.reports.make({ pinned: this.pinned, mask: cells, layer: Math.max(0, this.timeline.layer) }, delay);
  }

  // Removes the message in place of the caption.
  clearNotice() {
    this.notice = null;
  }

  act(action) {
    this.clearNotice();
    this.reports.flush();
    this.host.act(action);
  }

  openPage(page, head = null) {
    this.timeline.pause();
    const layer = this.open ?? Math.max(0, this.timeline.layer);
    this.sent = this.pinned === null ? this.query : null;
    this.act({ kind: "page", page, layer, head, pinned: this.query });
  }

  choose(id) {
    this.choices += 1;
    this.figure.camera.close();
    this.figure.arrangeGallery(this.given.gallery, id); // selects the thumbnail without waiting for Python
    this.act({ kind: "image", id });
  }

  async upload(file) {
    const choice = ++this.choices;
    this.figure.camera.close();
    this.host.memory.refused = null;
    const reading = this.words.format("upload_reading");
    this.say(reading);
    try {
      const scaled = await scaledUpload(file, this.given.upload);
      if (choice !== this.choices) return;
      this.act({ kind: "upload", ...scaled });
      this.say(reading); // until the photograph or an error arrives
    } catch (error) {
      if (choice === this.choices) this.notify("upload_failed", error.message);
    }
  }

  notify(what, reason) {
    this.say(this.words.format(what, { reason }));
  }

  // Shows a message in place of the caption, until the next action of the visitor.
  say(notice) {
    this.timeline.pause();
    this.notice = notice;
    this.announcer.announce(notice);
    this.repaint();
  }

  announce() {
    if (this.shown) this.announcer.announce(this.notice ?? this.captionText());
  }

  cellInSequence(event) {
    if (!this.shown || !this.lines) return null;
    const box = this.figure.sequence.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const col = Math.floor(x / this.lines.size);
    const patch = Math.floor(y / (2 * this.lines.size + LINE_GAP)) * this.lines.columns + col;
    if (col < 0 || col >= this.lines.columns || patch < 0 || patch >= this.grid[0] * this.grid[1]) return null;
    return [Math.floor(patch / this.grid[1]), patch % this.grid[1]];
  }

  hover(name) {
    if (name === this.hovered || (this.mask.stroke !== null && name === null)) return;
    this.hovered = name;
    this.hoverMoved = true;
    this.refresh(true);
  }

  // Pins a token. With the pinned token or null, it removes the pin.
  pin(name) {
    this.clearNotice();
    this.pinned = name === this.pinned ? null : name;
    if (this.pinned !== null) this.seen = Math.max(this.seen, this.timeline.end);
    this.report();
    this.refresh();
    this.announce();
  }

  // Closes what is open, or removes the pin. -> whether there was either
  release() {
    if (this.open !== null) {
      this.open = null;
      this.arrange();
    } else if (this.inPlace !== null) this.showInPlace(null);
    else if (this.curve !== null) this.showCurve(null);
    else if (this.pinned !== null) this.pin(null);
    else return false;
    return true;
  }

  key(event) {
    if (!this.shown) return;
    const step = STEPS[event.key];
    if (step) {
      const from = patchNamed(this.hovered ?? this.query ?? "") ?? middleOf(this.grid);
      const next = this.hovered === null ? from : neighbour(from, step, this.grid);
      this.hover(this.nameAt(next));
      this.announcer.announce(this.brushing ? this.maskText(next) : this.inPlace === "positions" ? this.positionsText() : this.captionText());
    } else if (event.key === "Enter" && !this.brushing && this.hovered) this.pin(this.hovered);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keyboard shortcuts of its own
  }

  // Hidden patches.

  setBrushing(on) {
    this.clearNotice();
    this.brushing = on;
    this.figure.root.classList.toggle("brushing", on);
    setAttribute(this.figure.brush, "aria-pressed", on);
    if (on && !this.timeline.finished) {
      this.timeline.pause();
      this.timeline.seek(this.timeline.end);
    }
    // On a phone the button is below the photograph, which may be out of view.
    if (on && this.size?.narrow) this.figure.photo.scrollIntoView({ block: "center", behavior: this.scrolling });
    this.refresh();
  }

  hide(what) {
    this.clearNotice();
    const { object } = this.given;
    const all = Array.from({ length: this.grid[0] * this.grid[1] }, (_, i) => i);
    const inside = new Set(object ?? []);
    const cells = { object: object ?? [], rest: all.filter((i) => !inside.has(i)), none: [] }[what];
    this.mask.cells = new Set(cells);
    this.timeline.pause();
    this.timeline.seek(this.timeline.end);
    this.report();
    this.refresh();
    this.announce();
  }
}
