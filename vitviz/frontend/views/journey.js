// The journey: a photograph on its way through the model, in one figure. Play it, hover a patch to see where it looks in every layer at
// once, hold one to read what it takes from others, hide parts and see the answer change.
//
// What is drawn follows from four things: the playhead, the token that is asked about, the token under the pointer, and the arrays of
// the photograph that is shown. Weights are computed here from queries and keys, layer by layer.

import { cellOf, nameOf, patchNamed, tokenNamed } from "../core/layout.js";
import { Mask } from "../core/mask.js";
import { number, strongest } from "../core/scale.js";
import { Reports } from "../core/state.js";
import { FIRST_LAYER, linesFor, PATCHES, POSITIONS, Timeline } from "../core/timeline.js";
import { LayerWeights, meanOfHeads } from "../core/weights.js";
import { Words } from "../core/words.js";
import { Loader, sourceOf } from "../data/source.js";
import { Announcer, Status } from "../parts/announcer.js";
import { element, setAttribute, setText } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, pointUnder, STEPS, watchBrush } from "../parts/input.js";
import { scaledUpload } from "../data/upload.js";
import { greyOf } from "../render/heat.js";
import { BRIGHTEST, FAINTEST, dimmed, drawDeparted, drawDrop, drawFlight, drawLayer, drawLine, drawPhotograph, drawWay, placeInLine, ShareMap } from "../render/journey.js";
import { onceAFrame, penOf, watchSize } from "../render/surface.js";
import { JourneyFigure, sizesFor } from "./journey_figure.js";

const LINE_GAP = 5;
const LINKS = 3; // strongest targets that get an arc
const FADE_MS = 90; // of the dimming of the photograph
const KEPT_ROWS = 96; // rows of a layer that are remembered
const LARGEST_STEP_MS = 100; // after the page was in the background the film goes on where it was

export function mount(node, host) {
  const view = new Journey(node, host);
  return { update: (data) => view.update(data), destroy: () => view.destroy() };
}

class Journey {
  constructor(parent, host) {
    this.host = host;
    this.words = new Words(host.words);
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.timeline = new Timeline(12);
    this.given = null; // what Python sent last
    this.shown = null; // { data, picture, grey }: of one photograph and model
    this.layers = []; // { weights, map, rows: Map, loader }: of what is shown
    this.held = null; // name of the token that was chosen
    this.hovered = null; // name of the token under the pointer
    this.seen = 0; // the furthest the playhead has been with this photograph
    this.dim = 0;
    this.open = null; // the layer whose heads are shown
    this.brushing = false;
    this.notice = null; // what failed, said in the caption's place
    this.drawn = new Map(); // what each canvas shows, as a text
    this.reports = new Reports((value, stamp) => host.report(value, stamp));
    this.figure = new JourneyFigure(this.words, {
      toggle: () => this.toggle(),
      jump: (by) => this.jump(by),
      seek: (at) => this.seek(at),
      step: (step) => this.pressStep(step),
      speed: (speed) => this.setSpeed(speed),
      open: (page) => this.leave(page),
      brush: () => this.setBrushing(!this.brushing),
      hide: (what) => this.hide(what),
      choose: (id) => this.act({ kind: "image", id }),
      upload: (input) => this.upload(input),
      camera: () => this.act({ kind: "camera" }),
      readToken: () => this.hold(this.shown?.data.reads ?? null),
    });
    this.loader = new Loader(sourceOf(host), {
      arrived: (question, payloads) => this.take(question, payloads),
      changed: () => this.turn(),
      stale: () => host.stale(),
    });
    this.status = new Status(this.words, () => this.loader.again());
    this.announcer = new Announcer();
    this.figure.root.prepend(this.status.node);
    this.figure.root.append(this.announcer.node);
    parent.append(this.figure.root);
    this.repaint = onceAFrame(() => this.paint());
    this.listen();
    this.unwatch = watchSize(parent instanceof Element ? parent : this.figure.root, () => this.arrange());
  }

  listen() {
    const { photo, line, strip, root } = this.figure;
    this.mask = new Mask(() => this.maskChanged(), { make: () => this.report(350), answeredBy: (heard) => this.reports.answeredBy(heard) });
    watchBrush(photo, this.mask, {
      at: (event) => this.grid && pointUnder(event, photo, this.grid),
      cursor: () => this.hovered && patchNamed(this.hovered),
      grid: () => (this.brushing && this.shown !== null ? this.grid : null),
      fingers: () => true,
    });
    const point = (find) => (event) => this.hover(find(event));
    const onPhoto = (event) => this.nameAt(this.cellAt(event));
    const onLine = (event) => this.nameAt(this.cellInLine(event));
    for (const [node, find] of [[photo, onPhoto], [line, onLine]]) {
      node.addEventListener("pointermove", point(find));
      node.addEventListener("pointerdown", point(find));
      node.addEventListener("pointerleave", () => this.hover(null));
      node.addEventListener("click", (event) => {
        const name = find(event);
        if (name && !(node === photo && this.brushing)) this.hold(name);
      });
    }
    strip.addEventListener("pointermove", (event) => this.hover(this.nameInStrip(event)));
    strip.addEventListener("pointerleave", () => this.hover(null));
    strip.addEventListener("click", (event) => {
      const name = this.nameInStrip(event);
      if (name) this.hold(name);
    });
    photo.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("keydown", (event) => {
      if (event.key === " " && !["BUTTON", "INPUT"].includes(event.target.tagName) && !this.brushing) {
        event.preventDefault();
        this.toggle();
      } else if (event.key === "Escape") this.release();
    });
    this.unflush = flushOnLeaving(photo, this.reports);
    this.onStill = () => this.timeline.playing && this.still.matches && this.pause();
    this.still.addEventListener("change", this.onStill);
  }

  destroy() {
    cancelAnimationFrame(this.clock);
    this.repaint.stop();
    this.loader.stop();
    for (const layer of this.layers) layer.loader?.stop();
    this.status.destroy();
    this.announcer.destroy();
    this.unwatch();
    this.unflush();
    this.still.removeEventListener("change", this.onStill);
    this.reports.drop();
    this.figure.root.remove();
  }

  // What Python holds.

  update(data) {
    const before = this.given;
    this.given = data;
    if (this.reports.answeredBy(data.heard)) this.held = data.held || null;
    if (before && before.question !== data.question) {
      this.reports.drop();
      this.mask.clear();
    }
    this.mask.show(data.mask, data.heard);
    this.figure.linkTitles(data.pages);
    this.figure.arrangeGallery(data.gallery, data.image, data.own);
    this.loader.ask({ urls: { picture: data.picture }, data });
  }

  // The picture is here: picture, layers and answer change together.
  take({ data }, { picture: { picture } }) {
    const before = this.shown;
    const same = before !== null && before.data.question === data.question;
    this.shown = { data, picture, grey: same && before.picture === picture ? before.grey : greyOf(picture) };
    if (!same) {
      this.timeline = Object.assign(new Timeline(data.layers.length), { speed: this.timeline.speed });
      this.seen = 0;
      this.open = null;
      this.dim = 0;
      this.begin();
    }
    this.#loadLayers(data);
    this.figure.arrangeStrip([this.words.say("cell_patches"), this.words.say("cell_positions"), ...data.layers.map((_, layer) => String(layer))]);
    this.drawn.clear();
    this.arrange();
  }

  // Plays by itself at first, unless motion is unwanted: then everything stands there, finished.
  begin() {
    if (this.still.matches) {
      this.timeline.seek(this.timeline.end);
      this.seen = this.timeline.end;
    } else {
      this.timeline.play();
      this.#run();
    }
  }

  // One layer after the other, so that the first are there while the last are on their way.
  #loadLayers(data) {
    const urls = data.layers.map(({ url }) => url);
    this.layers = data.layers.map((layer, i) => {
      const old = this.layers[i];
      if (old?.url === urls[i]) return Object.assign(old, { grid: layer.grid });
      old?.loader?.stop();
      return { url: urls[i], grid: layer.grid, weights: null, values: null, rows: new Map(), map: new ShareMap(), loader: null };
    });
    const next = (from) => {
      const i = this.layers.findIndex(({ weights, values, url, loader }, at) => at >= from && url && !weights && !values && !loader);
      if (i < 0) return;
      const layer = this.layers[i];
      layer.loader = new Loader(sourceOf(this.host), {
        arrived: (_, { numbers }) => {
          if (this.layers[i] !== layer) return;
          if (numbers.arrays.shares) layer.values = numbers.arrays.shares;
          else layer.weights = new LayerWeights(numbers);
          this.repaint();
          next(i + 1);
        },
        changed: () => {},
        stale: () => this.host.stale(),
      });
      layer.loader.ask({ urls: { numbers: layer.url } });
    };
    next(0);
  }

  turn() {
    this.figure.root.classList.toggle("busy", this.loader.state !== "shown");
    this.status.show(this.figure.root, this.loader);
  }

  // Everything that is chosen here, whenever one of it changes.
  report(delay = 0) {
    const cells = [...this.mask.cells].sort((one, other) => one - other);
    return this.reports.make({ held: this.held, mask: cells, layer: Math.max(0, this.timeline.layer) }, delay);
  }

  // Takes back what was said of something that failed.
  #heard() {
    this.notice = null;
  }

  act(action) {
    this.#heard();
    this.reports.flush();
    this.host.act(action);
  }

  leave(page) {
    const layer = this.open ?? Math.max(0, this.timeline.layer);
    this.act({ kind: "page", page, layer, held: this.query });
  }

  async upload(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      this.act({ kind: "upload", ...(await scaledUpload(file, this.given.upload)) });
    } catch (error) {
      this.notice = this.words.say("upload_failed", { reason: error.message });
      this.repaint();
    }
  }

  // The playhead.

  toggle() {
    this.#heard();
    if (this.timeline.playing) return this.pause();
    if (this.still.matches) return this.jump(1);
    if (!this.shown) return;
    this.timeline.play();
    this.#run();
    this.repaint();
  }

  pause() {
    this.timeline.pause();
    this.repaint();
    this.announcer.say(this.figure.caption.textContent);
  }

  jump(by) {
    this.timeline.jump(by);
    this.repaint();
  }

  seek(at) {
    this.timeline.pause();
    this.timeline.seek(at);
    this.repaint();
  }

  // A press on a step's name goes to its end; on the layer that is shown already, its heads open.
  pressStep(step) {
    const layer = step - FIRST_LAYER;
    const there = this.timeline.at === step + 1;
    this.timeline.pause();
    this.timeline.seek(step + 1);
    if (layer < 0 || (there && this.open === layer)) this.open = null;
    else if (there || this.open !== null) this.open = layer;
    this.arrange();
  }

  setSpeed(speed) {
    this.timeline.speed = speed;
    for (const button of this.figure.speeds) setAttribute(button, "aria-pressed", button.textContent === `${speed}×`);
  }

  #run() {
    if (this.clock) return;
    let last = performance.now();
    const tick = (now) => {
      const ms = Math.min(LARGEST_STEP_MS, now - last);
      last = now;
      const playing = this.timeline.advance(ms);
      const fading = this.#fading(ms);
      const moving = playing || fading;
      this.repaint(true);
      this.clock = moving ? requestAnimationFrame(tick) : 0;
      if (!moving) this.announcer.say(this.figure.caption.textContent);
    };
    this.clock = requestAnimationFrame(tick);
  }

  #fading(ms) {
    const aim = this.#dimAim();
    if (this.still.matches) this.dim = aim;
    else this.dim += (aim - this.dim) * (1 - Math.exp(-ms / FADE_MS));
    if (Math.abs(aim - this.dim) < 0.01) this.dim = aim;
    return this.dim !== aim;
  }

  // The photograph is dark while it shows attention, and in colour at the end, ready for the brush.
  #dimAim() {
    if (this.brushing) return 0;
    if (this.#finished && this.hovered === null && this.held === null) return 0;
    return this.seen >= FIRST_LAYER && (this.timeline.at > FIRST_LAYER || this.hovered !== null) ? 1 : 0;
  }

  get #finished() {
    return this.timeline.finished;
  }

  // What is asked about.

  get grid() {
    return this.shown?.data.layout.grid ?? [1, 1];
  }

  get query() {
    return this.held ?? this.hovered ?? this.shown?.data.follow ?? null;
  }

  // While one is held, the patch under the pointer is what it is asked about.
  get target() {
    return this.held !== null && this.hovered !== this.held ? this.hovered : null;
  }

  nameAt(cell) {
    return cell && `r${cell[0]}c${cell[1]}`;
  }

  cellAt(event) {
    return this.shown && cellUnder(event, this.figure.photo, this.grid);
  }

  cellInLine(event) {
    if (!this.shown || !this.lines) return null;
    const box = this.figure.line.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const col = Math.floor(x / this.lines.size);
    const patch = Math.floor(y / (2 * this.lines.size + LINE_GAP)) * this.lines.columns + col;
    if (col < 0 || col >= this.lines.columns || patch < 0 || patch >= this.grid[0] * this.grid[1]) return null;
    return [Math.floor(patch / this.grid[1]), patch % this.grid[1]];
  }

  nameInStrip(event) {
    const step = event.target.dataset?.step;
    if (step === undefined || !this.shown) return null;
    const grid = this.layers[step - FIRST_LAYER]?.grid ?? this.grid;
    const cell = cellUnder(event, event.target, grid);
    return cell && this.nameAt([0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / grid[axis]) * this.grid[axis])));
  }

  hover(name) {
    if (name === this.hovered || (this.mask.stroke !== null && name === null)) return;
    this.hovered = name;
    this.#settle(true);
  }

  // Holds a token, or lets it go: where it was held already, or with null.
  hold(name) {
    this.#heard();
    this.held = name === this.held ? null : name;
    if (this.held !== null) this.seen = Math.max(this.seen, this.timeline.end);
    this.report();
    this.#settle();
    this.announcer.say(this.figure.caption.textContent);
  }

  release() {
    if (this.open !== null) {
      this.open = null;
      this.arrange();
    } else if (this.held !== null) this.hold(null);
  }

  key(event) {
    const step = STEPS[event.key];
    if (step) {
      const [rows, cols] = this.grid;
      const from = patchNamed(this.hovered ?? this.query ?? "") ?? [Math.floor(rows / 2), Math.floor(cols / 2)];
      const next = this.hovered === null ? from : [Math.min(rows - 1, Math.max(0, from[0] + step[0])), Math.min(cols - 1, Math.max(0, from[1] + step[1]))];
      this.hover(this.nameAt(next));
      this.announcer.say(this.figure.caption.textContent);
    } else if (event.key === "Enter" && !this.brushing && this.hovered) this.hold(this.hovered);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keys of its own
  }

  // Shares of attention of one token in one layer, over all keys: the mean of its heads, or one head's. null while they are on their way.
  shares(layer, name, head = null) {
    const { weights, values, rows } = this.layers[layer];
    if (values) return name === this.shown.data.mapped ? values : null;
    if (!weights || name === null) return null;
    const token = tokenNamed(weights.meta.query, name);
    if (token < 0) return null;
    const key = `${token} ${head}`;
    let row = rows.get(key);
    if (!row) {
      const all = weights.row(token);
      row = head === null ? meanOfHeads(all, weights.heads) : all.subarray(head * weights.keys, (head + 1) * weights.keys);
      rows.set(key, row);
      if (rows.size > KEPT_ROWS) rows.delete(rows.keys().next().value);
    }
    return row;
  }

  // Of patches only, as maps are drawn. A windowed layer's shares come as a map already.
  #patchShares(layer, name, head = null) {
    const row = this.shares(layer, name, head);
    const { weights } = this.layers[layer];
    return row && weights ? row.subarray(weights.meta.key.prefix.length) : row;
  }

  #even(layer) {
    const { weights, grid } = this.layers[layer];
    return 1 / (weights ? weights.keys : grid[0] * grid[1]);
  }

  #strongestCells(layer, shares) {
    const { grid } = this.layers[layer];
    const finite = shares.map((value) => (Number.isNaN(value) ? -1 : value));
    const top = strongest(finite, LINKS + 1).filter((patch) => finite[patch] > 0);
    return top.map((patch) => [Math.floor(patch / grid[1]), patch % grid[1]]);
  }

  // Hidden patches.

  setBrushing(on) {
    this.brushing = on;
    this.figure.root.classList.toggle("brushing", on);
    setAttribute(this.figure.brush, "aria-pressed", on);
    if (on && !this.timeline.finished) {
      this.timeline.pause();
      this.timeline.seek(this.timeline.end);
    }
    this.#settle();
  }

  hide(what) {
    const { object } = this.given;
    const all = Array.from({ length: this.grid[0] * this.grid[1] }, (_, i) => i);
    const inside = new Set(object ?? []);
    const cells = { object: object ?? [], rest: all.filter((i) => !inside.has(i)), none: [] }[what];
    this.mask.cells = new Set(cells);
    this.timeline.pause();
    this.timeline.seek(this.timeline.end);
    this.report();
    this.#settle();
  }

  maskChanged() {
    this.#settle();
  }

  // The frames after a change: now, and while something fades.
  #settle(now = false) {
    if (!this.timeline.playing && this.#dimAim() !== this.dim) this.#run();
    this.repaint(now);
  }

  // Sizes.

  arrange() {
    const { root, photo, line, overlay, cells, heads } = this.figure;
    const width = root.clientWidth;
    if (!width || !this.shown) return this.repaint();
    const { layout, layers } = this.shown.data;
    const sizes = sizesFor(width, window.innerHeight, layers.length + FIRST_LAYER);
    root.classList.toggle("narrow", sizes.narrow);
    root.classList.toggle("dark", isDark(this.host.theme().paper));
    root.style.setProperty("--photo", `${sizes.photo}px`);
    root.style.setProperty("--answer", `${sizes.answer}px`);
    root.style.setProperty("--frame", `${sizes.frame}px`);
    const [rows, cols] = layout.grid;
    const ratio = this.shown.picture.height / this.shown.picture.width;
    this.size = { ...sizes, photoHeight: Math.round(sizes.photo * ratio), frameHeight: Math.round(sizes.frame * ratio), ratio: window.devicePixelRatio };
    this.lines = linesFor([rows, cols], sizes.line, sizes.lineHeight, LINE_GAP);
    this.dark = dimmed(this.shown.grey, sizes.photo, this.size.photoHeight, Math.min(3, window.devicePixelRatio));
    this.darkFrame = dimmed(this.shown.grey, sizes.frame, this.size.frameHeight, Math.min(3, window.devicePixelRatio));
    this.drawn.clear();
    line.hidden = this.open !== null;
    heads.hidden = this.open === null;
    penOf(photo, sizes.photo, this.size.photoHeight);
    penOf(line, sizes.line, Math.ceil(this.lines.height));
    for (const { canvas } of cells) penOf(canvas, sizes.frame, this.size.frameHeight);
    overlay.hidden = true; // so that its own size does not count
    const { offsetWidth, offsetHeight } = root;
    overlay.hidden = false;
    penOf(overlay, offsetWidth, offsetHeight);
    const origin = root.getBoundingClientRect();
    const boxOfNode = (node) => {
      const box = node.getBoundingClientRect();
      return { x: box.left - origin.left, y: box.top - origin.top, width: box.width, height: box.height };
    };
    this.boxes = { photo: boxOfNode(photo), line: boxOfNode(line), frames: cells.map(({ canvas }) => boxOfNode(canvas)), bars: boxOfNode(this.figure.bars), header: boxOfNode(this.figure.layers).y + 8, root: { width: offsetWidth, height: offsetHeight } };
    this.repaint();
  }

  // Painting: each canvas only where what it shows is another.

  paint() {
    const { timeline, shown } = this;
    this.seen = Math.max(this.seen, timeline.at);
    this.#paintControls();
    if (!shown || !this.size || !this.boxes) return;
    this.#paintPhotograph();
    this.#paintLine();
    this.#paintOverlay();
    this.#paintStrip();
    this.#paintHeads();
    this.#paintAnswer();
    this.#say();
    Object.assign(this.figure.root.dataset, { at: timeline.at.toFixed(3), query: this.query ?? "", loaded: this.layers.filter(({ weights, values }) => weights || values).length });
  }

  // Runs `draw` where `state` is another text than last time.
  #once(name, state, draw) {
    const text = state.join("|");
    if (this.drawn.get(name) === text) return;
    this.drawn.set(name, text);
    draw();
  }

  get #layerShown() {
    if (!this.shown) return -1;
    if (this.open !== null) return this.open;
    if (this.timeline.layer >= 0) return this.timeline.layer;
    return this.hovered !== null && this.seen > FIRST_LAYER ? Math.min(this.layers.length - 1, Math.floor(this.seen) - FIRST_LAYER) : -1;
  }

  #marks(grid, layer) {
    const there = (name) => {
      const cell = name && patchNamed(name);
      return cell && [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
    };
    const marks = [];
    const query = there(this.query);
    if (query && (layer >= 0 || this.held || this.hovered)) marks.push({ cell: query, kind: this.held ? "held" : "query" });
    const pointed = there(this.held ? this.target : null);
    if (pointed) marks.push({ cell: pointed, kind: "hover" });
    return marks;
  }

  #links(layer, grown) {
    const shares = this.#patchShares(layer, this.query);
    const cell = this.query && patchNamed(this.query);
    if (!shares || !cell || grown <= 0) return [];
    const { grid } = this.layers[layer];
    const from = [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
    const cells = this.#strongestCells(layer, shares).filter(([row, col]) => row !== from[0] || col !== from[1]);
    return cells.slice(0, LINKS).map((to, rank) => ({ from, to, grown, strength: 1 - rank / LINKS }));
  }

  #paintPhotograph() {
    const { timeline, shown, size, figure } = this;
    const layer = this.#layerShown;
    const attention = this.dim > 0.02 && layer >= 0;
    const shares = attention ? this.#patchShares(layer, this.query) : null;
    const cut = timeline.progress(PATCHES);
    const grown = this.open !== null || timeline.layer !== layer ? 1 : Math.min(1, 2 * timeline.progress(layer + FIRST_LAYER));
    const fade = timeline.layer === layer ? Math.min(1, 3 * timeline.progress(layer + FIRST_LAYER)) : 1;
    const heat = shares ? this.dim * fade : 0;
    const marks = this.brushing ? [] : this.#marks(this.grid, attention ? layer : -1);
    const cells = [...this.mask.cells];
    const state = [this.dim.toFixed(2), layer, this.query, this.target, heat.toFixed(2), grown.toFixed(2), cut < 1 ? cut.toFixed(3) : 1, cells, this.brushing ? this.hovered : "", attention, shares !== null];
    this.#once("photo", state, () => {
      if (shares) this.photoMap().fill(shares, this.layers[layer].grid, this.#even(layer));
      const pen = penOf(figure.photo, size.photo, size.photoHeight);
      const sameGrid = layer < 0 || String(this.layers[layer].grid) === String(this.grid);
      drawPhotograph(pen, size.photo, size.photoHeight, {
        picture: shown.picture,
        dark: this.dark,
        grid: this.grid,
        dim: this.dim,
        cut: this.brushing ? 0.6 : attention || cut >= 1 ? 0.25 : cut,
        map: shares && this.photoMap(),
        heat,
        hidden: this.mask.cells,
        fill: shown.data.fill,
        marks,
        links: shares && sameGrid ? this.#links(layer, grown) : [],
      });
      if (this.brushing && this.hovered) {
        const cell = patchNamed(this.hovered);
        const [w, h] = [size.photo / this.grid[1], size.photoHeight / this.grid[0]];
        pen.strokeStyle = "#ffffff";
        pen.lineWidth = 2;
        pen.strokeRect(cell[1] * w, cell[0] * h, w, h);
      }
      if (cut > 0 && cut < 1) drawDeparted(pen, { grid: this.grid, progress: cut, width: size.photo, height: size.photoHeight, paper: this.host.theme().paper });
    });
  }

  photoMap() {
    return (this.ownMap ??= new ShareMap());
  }

  #paintLine() {
    const { timeline, shown, figure, size, lines } = this;
    if (this.open !== null) return;
    const theme = this.host.theme();
    const index = (name) => {
      const cell = name && patchNamed(name);
      return cell ? cell[0] * this.grid[1] + cell[1] : -1;
    };
    const marked = timeline.at >= 1 || this.held || this.hovered ? index(this.query) : -1;
    const hovered = index(this.target);
    const arrived = Math.max(timeline.progress(PATCHES), this.seen >= 1 ? 1 : 0);
    const positions = shown.data.positions === "added" ? (this.seen >= 2 && timeline.at >= 2 ? 1 : timeline.progress(POSITIONS)) : 0;
    const state = [arrived.toFixed(3), positions.toFixed(3), marked, hovered, [...this.mask.cells], theme.ink];
    this.#once("line", state, () => {
      const pen = penOf(figure.line, size.line, Math.ceil(lines.height));
      drawLine(pen, {
        picture: shown.picture,
        grid: this.grid,
        arrived: timeline.at < 1 ? timeline.progress(PATCHES) : 1,
        positions,
        marked,
        hovered,
        lines,
        gap: LINE_GAP,
        ink: theme.ink,
        accent: isDark(theme.paper) ? "#3ddcff" : "#007ea3",
        faint: isDark(theme.paper) ? "#20262f" : "#e9ebef",
        hidden: this.mask.cells,
        fill: shown.data.fill,
      });
    });
  }

  #paintOverlay() {
    const { timeline, shown, figure, boxes, lines } = this;
    const flying = timeline.progress(PATCHES) > 0 && timeline.at < 1;
    const layer = timeline.layer;
    const way = layer >= 0 && !this.size.narrow && this.open === null;
    const progress = layer >= 0 ? timeline.progress(layer + FIRST_LAYER) : 0;
    const state = flying ? ["fly", timeline.at.toFixed(4)] : ["way", way, layer, progress.toFixed(2), this.query];
    this.#once("overlay", state, () => {
      const pen = penOf(figure.overlay, boxes.root.width, boxes.root.height);
      const colour = isDark(this.host.theme().paper) ? "#3ddcff" : "#007ea3";
      if (flying) {
        drawFlight(pen, { picture: shown.picture, grid: this.grid, progress: timeline.progress(PATCHES), from: boxes.photo, to: boxes.line, lines, gap: LINE_GAP });
      } else if (way) {
        const cell = this.query && patchNamed(this.query);
        const frame = boxes.frames[layer + FIRST_LAYER];
        const top = [frame.x + frame.width / 2, frame.y - 24];
        if (cell) {
          const [x, y, side] = placeInLine(cell[0] * this.grid[1] + cell[1], lines, LINE_GAP);
          const start = [boxes.line.x + x + side / 2, boxes.line.y + boxes.line.height + 3];
          drawDrop(pen, [start[0], boxes.line.y + y + 2 * side], start, colour);
          drawWay(pen, [start, [top[0], this.boxes.header - 4], top], 1, colour);
        }
        if (this.#barsShown) {
          const end = [boxes.bars.x - 12, boxes.bars.y + 26];
          drawWay(pen, [top, [top[0], boxes.header - 4], [end[0], boxes.line.y + boxes.line.height + 8], end], Math.min(1, 1.5 * progress), colour);
        }
      }
    });
  }

  #paintStrip() {
    const { timeline, shown, figure, size, words } = this;
    const { data } = shown;
    figure.cells.forEach((cell, step) => {
      const layer = step - FIRST_LAYER;
      const reached = this.seen > step;
      const now = timeline.step === step;
      const progress = now ? timeline.progress(step) : this.seen > step ? 1 : 0;
      cell.node.classList.toggle("now", now && !timeline.finished);
      const shares = layer >= 0 && reached ? this.#patchShares(layer, this.query) : null;
      const heat = shares ? (now ? Math.min(1, 3 * progress) : 1) : 0;
      const waiting = layer >= 0 && reached && !shares;
      const state = [reached, this.query, this.target, heat.toFixed(2), now ? progress.toFixed(2) : "", shares !== null, waiting, [...this.mask.cells]];
      this.#once(`frame ${step}`, state, () => {
        const pen = penOf(cell.canvas, size.frame, size.frameHeight);
        if (!reached) return;
        if (layer < 0) return this.#paintFirstFrames(pen, step);
        const { map, grid } = this.layers[layer];
        if (shares) map.fill(shares, grid, this.#even(layer));
        drawLayer(pen, size.frame, size.frameHeight, {
          dark: this.darkFrame,
          map: shares && map,
          heat,
          grid,
          marks: this.#marks(grid, layer),
          links: shares ? this.#links(layer, now ? Math.min(1, 2 * progress) : 1) : [],
          whole: this.query !== null && !patchNamed(this.query),
        });
      });
      if (layer < 0) return;
      const share = shares && this.#shareText(layer, shares);
      setText(cell.share, share ?? "");
      const reading = reached && this.#barsShown ? data.answer?.steps?.[layer + 1] : null;
      setText(cell.name, reading ? reading.name : "");
      cell.name.style.opacity = reading?.right === undefined || reading?.right === null ? 1 : 0.45 + 0.55 * reading.right;
      if (reading) cell.name.title = this.#readingNote(layer);
      cell.bar.style.transform = `scaleX(${reading ? Math.max(0, Math.min(1, reading.length)) : 0})`;
    });
    if (size.narrow && timeline.playing) this.#follow(figure.cells[timeline.step]);
    setText(figure.layersTitle, words.say("layers_heading", { token: this.#tokenWords(this.query) }));
  }

  // On a phone the strip moves along with the playhead.
  #follow(cell) {
    if (this.followed === cell) return;
    this.followed = cell;
    const { strip } = this.figure;
    strip.scrollTo({ left: cell.node.offsetLeft - strip.clientWidth / 2, behavior: "smooth" });
  }

  #shareText(layer, shares) {
    if (this.target !== null) {
      const cell = patchNamed(this.target);
      const { grid } = this.layers[layer];
      const at = cell && [0, 1].map((axis) => Math.floor(((cell[axis] + 0.5) / this.grid[axis]) * grid[axis]));
      const value = at ? shares[at[0] * grid[1] + at[1]] : NaN;
      return Number.isNaN(value) ? "–" : percent(value);
    }
    let most = 0;
    for (const value of shares) if (value > most) most = value;
    return percent(most);
  }

  #paintFirstFrames(pen, step) {
    const { shown, size } = this;
    const marks = this.#marks(this.grid, 0);
    drawPhotograph(pen, size.frame, size.frameHeight, {
      picture: shown.picture,
      dark: this.darkFrame,
      grid: this.grid,
      dim: step === POSITIONS ? 1 : 0,
      cut: 1,
      map: null,
      heat: 0,
      hidden: this.mask.cells,
      fill: shown.data.fill,
      marks,
      links: [],
    });
    const cell = this.query && patchNamed(this.query);
    if (step !== POSITIONS || !cell || shown.data.positions !== "added") return;
    // A position is a place: its row and its column, crossing.
    const [w, h] = [size.frame / this.grid[1], size.frameHeight / this.grid[0]];
    pen.fillStyle = "rgba(61, 220, 255, 0.28)";
    pen.fillRect(0, cell[0] * h, size.frame, h);
    pen.fillRect(cell[1] * w, 0, w, size.frameHeight);
  }

  // The heads of one layer, in the place of the line.
  #paintHeads() {
    const { heads } = this.figure;
    if (this.open === null) return;
    const layer = this.layers[this.open];
    const count = layer.weights?.heads ?? 0;
    const side = Math.max(56, Math.min(112, Math.floor((this.size.line - 20) / Math.ceil(Math.sqrt(count || 1) * 1.2)) - 10));
    if (heads.childElementCount !== count || heads.dataset.layer !== String(this.open)) {
      heads.dataset.layer = this.open;
      heads.style.gridTemplateColumns = `repeat(auto-fill, minmax(${side}px, 1fr))`;
      const tiles = Array.from({ length: count }, (_, head) => {
        const canvas = element("canvas", { "aria-hidden": "true" });
        const text = element("span", { text: this.words.say("head", { head }) });
        return element("button", { type: "button", onclick: () => this.act({ kind: "page", page: "microscope", layer: this.open, head, held: this.query }) }, text, canvas);
      });
      heads.replaceChildren(...tiles);
    }
    if (!layer.weights) return;
    [...heads.children].forEach((tile, head) => {
      const shares = this.#patchShares(this.open, this.query, head);
      this.#once(`head ${head}`, [this.open, this.query, side], () => {
        const height = Math.round((side * this.size.frameHeight) / this.size.frame);
        const pen = penOf(tile.lastElementChild, side, height);
        const map = new ShareMap();
        if (shares) map.fill(shares, layer.grid, this.#even(this.open));
        drawLayer(pen, side, height, { dark: this.darkFrame, map: shares && map, heat: 1, grid: layer.grid, marks: this.#marks(layer.grid, 0), links: [] });
      });
    });
  }

  // Bars appear when playback or the visitor reaches the layers: before that there is no answer.
  get #barsShown() {
    return this.seen > FIRST_LAYER && Boolean(this.shown?.data.answer);
  }

  #paintAnswer() {
    const { figure, timeline, words } = this;
    const { answer } = this.shown.data;
    const done = timeline.finished ? this.layers.length : timeline.done;
    const layer = done - 1;
    setText(figure.answerTitle, answer === null ? words.say(this.shown.data.silent === "untrained" ? "answer_title" : "features_title") : layer >= 0 ? words.say("answer_after", { layer }) : words.say("answer_title"));
    if (answer === null) {
      figure.showBars(null);
      return setText(figure.note, words.say(`${this.shown.data.silent}_note`));
    }
    const shown = this.#barsShown && layer >= 0 && answer.bars[done]?.length > 0;
    const waiting = this.mask.cells.size > 0 && !this.reports.answeredBy(this.given.heard);
    figure.showBars(shown ? answer.bars[done].map((bar) => ({ ...bar })) : null);
    figure.bars.style.opacity = waiting ? 0.45 : 1;
    setText(figure.note, shown ? this.#readingNote(layer) : words.say("answer_empty"));
  }

  #readingNote(layer) {
    const { answer } = this.shown.data;
    const last = layer === this.layers.length - 1;
    const right = answer.steps[layer + 1]?.right;
    if (this.mask.cells.size) return this.words.say("note_hidden", { hidden: this.mask.cells.size, count: this.grid[0] * this.grid[1] });
    if (right !== null && right !== undefined) return this.words.say(last ? "note_right_last" : "note_right", { share: Math.round(100 * right), layer });
    return this.words.say(last ? "note_last" : "note_lens");
  }

  #paintControls() {
    const { figure, timeline, words } = this;
    const key = timeline.playing ? "pause" : timeline.finished ? "again_play" : "play";
    setText(figure.play, words.say(this.still.matches ? "step" : key));
    setAttribute(figure.scrub, "max", timeline.end);
    figure.scrub.value = timeline.at;
    setAttribute(figure.scrub, "aria-valuetext", this.#stepName());
    const station = timeline.finished ? 5 : timeline.step === PATCHES ? (timeline.at > 0.5 ? 2 : 1) : timeline.step === POSITIONS ? 2 : 3;
    for (const node of figure.root.querySelectorAll("[data-station]")) node.classList.toggle("now", Number(node.dataset.station) === station);
    const has = Boolean(this.given?.object?.length);
    for (const button of [figure.hideObject, figure.hideRest]) button.hidden = !has;
    figure.hideNone.disabled = this.mask.cells.size === 0;
    figure.brush.disabled = figure.tools.hidden = !this.given?.hiding;
    const { reads } = this.shown?.data ?? {};
    figure.reads.hidden = !reads;
    if (reads) {
      setText(figure.reads, this.#tokenWords(reads));
      setAttribute(figure.reads, "aria-pressed", this.held === reads);
    }
    if (!this.shown) return;
    setText(figure.lineTitle, this.open === null ? words.say("line_title") : words.say("heads_title", { layer: this.open }));
    this.#legend();
  }

  #legend() {
    const even = this.layers.length ? this.#even(Math.max(0, this.#layerShown)) : 0;
    this.#once("legend", [even], () => {
      const ends = [percent(FAINTEST * even), `${percent(BRIGHTEST * even)}`];
      const ramp = "linear-gradient(90deg, #2b2b33, #87216b, #d24644, #f98e09, #f1ed71)";
      const bar = element("i");
      bar.style.background = ramp;
      this.figure.legend.replaceChildren(this.words.say("legend_low", { share: ends[0] }), bar, this.words.say("legend_high", { share: ends[1] }));
    });
  }

  #stepName() {
    const { step, layer, finished } = this.timeline;
    if (finished) return this.words.say("finished");
    return step === PATCHES ? this.words.say("cell_patches") : step === POSITIONS ? this.words.say("cell_positions") : this.words.say("layer", { layer });
  }

  #tokenWords(name) {
    if (name === null || name === undefined || !this.shown) return "";
    const { layout } = this.shown.data;
    const token = tokenNamed(layout, name);
    return token < 0 ? name : this.words.token(layout, token);
  }

  // The caption says what the numbers say.
  #say() {
    const text = this.notice ?? this.#captionText();
    setText(this.figure.caption, text);
    const { photo } = this.figure;
    setAttribute(photo, "aria-label", `${this.words.say("photo_label", { alt: this.shown.data.alt })} ${text}`);
  }

  #captionText() {
    const { timeline, words } = this;
    const { data } = this.shown;
    const count = this.grid[0] * this.grid[1];
    const pointed = this.hovered !== null || this.held !== null;
    const layer = this.#layerShown;
    if (this.brushing || (this.mask.cells.size && timeline.finished && !pointed)) return this.#hiddenText();
    if (layer >= 0 && (pointed || !timeline.finished) && this.seen > FIRST_LAYER) {
      const shares = this.#patchShares(layer, this.query);
      if (!shares) return words.say(this.layers[layer].values ? "caption_click" : "caption_loading", { layer });
      const token = this.#tokenWords(this.query);
      if (this.target !== null) return words.say("caption_target", { layer, token, target: this.#tokenWords(this.target), share: this.#shareText(layer, shares) });
      const [best] = this.#strongestCells(layer, shares);
      if (!best) return words.say("caption_unreached", { layer, token });
      const { grid } = this.layers[layer];
      const share = percent(shares[best[0] * grid[1] + best[1]]);
      const target = words.say("patch", { row: best[0], col: best[1] });
      const own = patchNamed(this.query ?? "");
      const itself = own && String(own) === String(best) && String(grid) === String(this.grid);
      return words.say(itself ? "caption_itself" : "caption_layer", { layer, token, target, share });
    }
    if (timeline.finished) return data.answer === null ? words.say(`caption_${data.silent}`) : words.say(data.answer.doubtful ? "caption_doubt" : data.hiding ? "caption_answer" : "caption_answer_only", this.#answerBlanks(data.answer));
    if (timeline.step === POSITIONS) return words.say(`caption_positions_${data.positions}`, { count });
    const [height, width] = data.layout.patch_size;
    return words.say("caption_patches", { count, height, width });
  }

  #answerBlanks(answer) {
    const [best] = answer.bars.at(-1);
    return { name: best.name, value: best.text, layers: this.layers.length };
  }

  #hiddenText() {
    const { words } = this;
    const { answer } = this.shown.data;
    const hidden = this.mask.cells.size;
    if (!hidden) return words.say("caption_brush");
    if (!this.reports.answeredBy(this.given.heard) || answer === null) return words.say("caption_hiding", { hidden });
    const [best] = answer.bars.at(-1);
    return words.say("caption_hidden", { hidden, count: this.grid[0] * this.grid[1], name: best.name, value: best.text, whole_name: answer.whole?.name ?? "", whole_value: answer.whole?.text ?? "" });
  }
}

function percent(share) {
  const value = 100 * share;
  return value >= 10 ? `${value.toFixed(0)}%` : value >= 0.095 ? `${value.toFixed(1)}%` : value >= 0.0095 ? `${value.toFixed(2)}%` : "0%";
}

function isDark(colour) {
  const found = /^#?([\da-f]{2})([\da-f]{2})([\da-f]{2})/i.exec(colour);
  if (found) return found.slice(1).reduce((sum, part) => sum + parseInt(part, 16), 0) < 384;
  const parts = colour.match(/\d+/g);
  return Boolean(parts) && parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) < 384;
}
