// Paints the journey: all canvases and bars, as functions of the playback position, the query token, the token under the pointer
// and the data of the photograph. A canvas is drawn only if its state has changed.

import { patchNamed } from "../core/layout.js";
import { FIRST_LAYER, sequenceLines, PATCHES, POSITIONS } from "../core/timeline.js";
import { element, pixelRatio, setAttribute, setText, windowHeight } from "../parts/dom.js";
import { clippedContext, clearedContext } from "../render/canvas.js";
import { BRIGHTEST, dimmed, drawLayer, drawMovedAway, drawPhotograph, drawSequence, FAINTEST, isDark, ShareMap } from "../render/journey.js";
import { percent } from "./journey_data.js";
import { CELL_GAP, COMPACT, sizesFor } from "./journey_figure.js";
import { JourneyDetails } from "./journey_details.js";
import { LINE_GAP } from "./journey_overlay.js";

const ROOM_FOR_SHARES = 110; // CSS pixels of a map, below which number, name and share do not fit above it
const LIKELY = 0.5; // fraction of photographs with a correct reading after a layer, from which its name is not pale

export class JourneyPainter extends JourneyDetails {
  // Layout.

  arrange() {
    const { root, photo, sequence, heads } = this.figure;
    const width = root.clientWidth;
    const { layout, layers } = this.shown?.data ?? this.given ?? {};
    if (!width || !layout) return this.repaint();
    this.figure.arrangeLayers(layers.map((_, layer) => String(layer)));
    const type = parseFloat(getComputedStyle(root).getPropertyValue("--vv-type")) || 1;
    const sizes = sizesFor(width, windowHeight(), layers.length, type);
    root.classList.toggle("narrow", sizes.narrow);
    root.classList.toggle("compact", width < COMPACT);
    for (const [name, value] of Object.entries({ photo: sizes.photo, answer: sizes.answer, frame: sizes.frame })) root.style.setProperty(`--${name}`, `${value}px`);
    root.style.setProperty("--columns", sizes.columns);
    const [rows, cols] = layout.grid;
    // Until the photograph is loaded its aspect ratio is that of the patch grid, so that nothing moves when it arrives.
    const [high, wide] = [0, 1].map((axis) => layout.grid[axis] * layout.patch_size[axis]);
    const ratio = this.shown ? this.shown.picture.height / this.shown.picture.width : high / wide;
    this.size = { ...sizes, width, photoHeight: Math.round(sizes.photo * ratio), frameHeight: Math.round(sizes.frame * ratio) };
    root.style.setProperty("--frame-height", `${this.size.frameHeight}px`);
    this.lines = sequenceLines([rows, cols], sizes.sequence, sizes.sequenceHeight, LINE_GAP);
    if (this.shown) this.darken();
    this.drawn.clear();
    for (const cell of this.figure.cells) cell.painted = null;
    sequence.hidden = this.open !== null || this.inPlace !== null;
    this.figure.pixels.hidden = this.inPlace !== "pixels";
    this.figure.positions.hidden = this.inPlace !== "positions";
    heads.hidden = this.open === null;
    clearedContext(photo, sizes.photo, this.size.photoHeight);
    clearedContext(sequence, sizes.sequence, Math.ceil(this.lines.height));
    this.measure();
  }

  measure() {
    if (!this.size) return;
    const { frames } = this.figure;
    const before = [frames.width, frames.height].join();
    this.boxes = this.figure.measured();
    if ([frames.width, frames.height].join() !== before) {
      this.drawn.clear(); // changing the size clears a canvas
      for (const cell of this.figure.cells) cell.painted = null;
    } else for (const name of ["ways", "movingPatches"]) this.drawn.delete(name);
    this.repaint();
  }

  // Prepares the dark photographs, if picture or sizes have changed.
  darken() {
    const { grey } = this.shown;
    const { photo, photoHeight, frame, frameHeight } = this.size;
    const state = [photo, photoHeight, frame, frameHeight, pixelRatio()].join();
    if (this.darkened?.grey === grey && this.darkened.state === state) return;
    this.darkened = { grey, state };
    this.dark = dimmed(grey, photo, photoHeight, pixelRatio());
    this.darkFrame = dimmed(grey, frame, frameHeight, pixelRatio());
  }

  // Painting.

  paint() {
    const { timeline, shown } = this;
    this.reach();
    this.paintControls();
    if (!shown || !this.size || !this.boxes) return;
    this.loadPointed();
    this.paintPhotograph();
    this.paintSequence();
    this.paintLayers();
    this.paintHeads();
    this.paintPixels();
    this.paintPositions();
    this.paintAnswer();
    const late = this.hoverMoved && !timeline.playing;
    this.hoverMoved = false;
    if (late) this.paintWordsLater();
    else this.paintWords();
  }

  // After the frame in which the maps answer the pointer: words and lines make the browser lay the page out, which would delay it.
  paintWordsLater() {
    this.wordsFrame ||= requestAnimationFrame(() => {
      this.wordsTimer = setTimeout(() => {
        this.wordsFrame = 0;
        this.paintWords();
      });
    });
  }

  paintWords() {
    const { timeline, figure, size, words } = this;
    this.paintOverlay();
    const query = this.queryIn(-1);
    const cell = size.width < COMPACT && patchNamed(query ?? "");
    const token = cell ? words.format("patch_short", { row: cell[0], col: cell[1] }) : this.tokenWords(query);
    setText(figure.layersTitle, words.format(size.width < COMPACT ? "layers_heading_short" : "layers_heading", { token }));
    this.describe();
    const state = { at: timeline.at.toFixed(3), query: this.query ?? "", loaded: this.layers.filter(({ weights, values }) => weights || values).length };
    for (const [name, value] of Object.entries(state)) setAttribute(this.figure.root, `data-${name}`, value);
  }

  paintPhotograph() {
    const { timeline, shown, size, figure } = this;
    const layer = this.layerShown;
    const attention = this.dim > 0.02 && layer >= 0;
    const query = this.queryIn(layer);
    const target = this.targetOf(query);
    const shares = attention ? this.patchShares(layer, query) : null;
    const cut = timeline.progress(PATCHES);
    const grown = this.open !== null || timeline.layer !== layer ? 1 : Math.min(1, 2 * timeline.progress(layer + FIRST_LAYER));
    const fade = timeline.layer === layer ? Math.min(1, 3 * timeline.progress(layer + FIRST_LAYER)) : 1;
    const heat = shares ? this.dim * fade : 0;
    const marks = this.brushing ? [] : this.marks(this.grid, attention ? layer : -1, query);
    const cells = [...this.mask.cells];
    const state = [this.dim.toFixed(2), layer, query, target, heat.toFixed(2), grown.toFixed(2), cut < 1 ? cut.toFixed(3) : 1, cells, this.brushing ? this.hovered : "", attention, shares !== null];
    this.drawIfChanged("photo", state, () => {
      if (shares) this.photoMap().fill(shares, this.layers[layer].grid, this.uniformShare(layer));
      const context = clearedContext(figure.photo, size.photo, size.photoHeight);
      const sameGrid = layer < 0 || String(this.layers[layer].grid) === String(this.grid);
      drawPhotograph(context, size.photo, size.photoHeight, {
        picture: shown.picture,
        dark: this.dark,
        grid: this.grid,
        dim: this.dim,
        cut: this.brushing ? 0.6 : attention || cut >= 1 ? 0.25 : cut,
        map: shares && this.photoMap(),
        heat,
        hidden: this.mask.cells,
        fill: shown.data.fill,
        covered: shown.covered,
        marks,
        links: shares && sameGrid ? this.links(layer, grown, query) : [],
      });
      if (this.brushing && this.hovered) {
        const cell = patchNamed(this.hovered);
        const [w, h] = [size.photo / this.grid[1], size.photoHeight / this.grid[0]];
        context.strokeStyle = "#ffffff";
        context.lineWidth = 2;
        context.strokeRect(cell[1] * w, cell[0] * h, w, h);
      }
      if (cut > 0 && cut < 1) drawMovedAway(context, { grid: this.grid, progress: cut, width: size.photo, height: size.photoHeight, paper: this.host.theme().paper });
    });
  }

  photoMap() {
    return (this.ownMap ??= new ShareMap());
  }

  paintSequence() {
    const { timeline, shown, figure, size, lines } = this;
    if (this.open !== null || this.inPlace !== null) return;
    const theme = this.host.theme();
    const arrived = Math.max(timeline.progress(PATCHES), this.seen >= 1 ? 1 : 0);
    const positions = shown.data.positions === "added" ? (this.seen >= 2 && timeline.at >= 2 ? 1 : timeline.progress(POSITIONS)) : 0;
    const state = [arrived.toFixed(3), positions, [...this.mask.cells], theme.ink];
    this.drawIfChanged("sequence", state, () => {
      const context = clearedContext(figure.sequence, size.sequence, Math.ceil(lines.height));
      drawSequence(context, {
        picture: shown.picture,
        grid: this.grid,
        arrived: timeline.at < 1 ? timeline.progress(PATCHES) : 1,
        positions,
        lines,
        gap: LINE_GAP,
        ink: theme.ink,
        accent: theme.accent,
        faint: isDark(theme.paper) ? "#20262f" : "#e9ebef",
        hidden: this.mask.cells,
        fill: shown.data.fill,
        covered: shown.covered,
      });
    });
  }

  paintLayers() {
    const { timeline, shown, figure, size } = this;
    const { data } = shown;
    const query = this.queryIn(-1);
    const target = this.targetOf(query);
    const hidden = [...this.mask.cells].join();
    figure.cells.forEach((cell, layer) => {
      const step = layer + FIRST_LAYER;
      const reached = this.seen > step;
      const now = timeline.step === step;
      const progress = now ? timeline.progress(step) : this.seen > step ? 1 : 0;
      const shares = reached ? this.patchShares(layer, query) : null;
      const heat = shares ? (now ? Math.min(1, 3 * progress) : 1) : 0;
      const waiting = reached && !shares;
      const state = [reached, query, target, heat.toFixed(2), now ? progress.toFixed(2) : "", shares !== null, waiting, hidden];
      const coming = waiting && cell.painted === data.question && !this.layers[layer].loader?.error; // the old map stays until a stroke's data arrive
      if (!coming) this.drawIfChanged(`frame ${step}`, state, () => {
        cell.painted = shares ? data.question : null;
        const context = clippedContext(figure.frames, this.boxes.frames[layer].inside, size.frame, size.frameHeight);
        if (reached) {
          const { map, grid } = this.layers[layer];
          if (shares) map.fill(shares, grid, this.uniformShare(layer));
          drawLayer(context, size.frame, size.frameHeight, {
            dark: this.darkFrame,
            map: shares && map,
            heat,
            grid,
            marks: this.marks(grid, layer, query),
            links: shares ? this.links(layer, now ? Math.min(1, 2 * progress) : 1, query) : [],
            whole: query !== null && !patchNamed(query),
          });
        }
        context.restore();
      });
      const share = shares && size.frame >= ROOM_FOR_SHARES ? this.shareText(layer, shares, query) : "";
      const reading = this.reached > step && this.barsShown ? data.answer?.steps?.[layer + 1] : null;
      this.drawIfChanged(`label ${step}`, [share, Boolean(reading), now && !timeline.finished], () => {
        cell.node.classList.toggle("now", now && !timeline.finished);
        setText(cell.share, share);
        setText(cell.name, reading ? reading.name : "");
        cell.name.classList.toggle("likely", reading?.right >= LIKELY);
        cell.bar.style.transform = `scaleX(${reading ? Math.max(0, Math.min(1, reading.length)) : 0})`;
      });
    });
    if (size.narrow && timeline.layer >= 0) this.follow(timeline.layer);
  }

  // On a phone, scrolls the grid of layers with playback.
  follow(layer) {
    if (this.followed === layer) return;
    this.followed = layer;
    const { frame, width } = this.size; // stored sizes, because measuring during a frame would force a layout
    this.figure.layerGrid.scrollTo({ left: layer * (frame + CELL_GAP) - width / 2, behavior: this.scrolling });
  }

  get scrolling() {
    return this.reducedMotion.matches ? "instant" : "smooth";
  }

  paintAnswer() {
    const { figure, timeline, words } = this;
    const { answer } = this.shown.data;
    const done = timeline.finished ? this.layers.length : timeline.done;
    const layer = done - 1;
    const title = answer === null && this.shown.data.silent !== "untrained" ? "features_title" : answer !== null && layer >= 0 ? "answer_after" : "answer_title";
    setText(figure.answerTitle, words.format(this.size.width < COMPACT && !this.size.narrow ? `${title}_short` : title, { layer }));
    if (answer === null) this.paintCurve(-1);
    this.paintFeatures();
    if (answer === null) {
      this.drawIfChanged("bars", [], () => figure.showBars(null));
      const { silent } = this.shown.data;
      return setText(figure.note, words.format(silent === "features" && !this.shown.features ? "features_note_only" : `${silent}_note`));
    }
    const shown = this.barsShown && layer >= 0 && answer.bars[done]?.length > 0;
    const waiting = this.mask.cells.size > 0 && !this.reports.acknowledgedBy(this.shown.data.received);
    this.drawIfChanged("bars", [shown, done, timeline.playing], () => figure.showBars(shown ? answer.bars[done] : null, timeline.playing)); // not at every movement
    figure.bars.style.opacity = waiting ? 0.45 : 1;
    this.paintCurve(shown ? done : -1);
    setText(figure.note, shown ? this.readingNote(layer) : words.format(this.waiting ? "answer_waits" : "answer_empty"));
  }

  paintControls() {
    const { timeline } = this;
    const { output_token: outputToken } = this.shown?.data ?? {};
    const { hiding, starting, object } = this.given ?? {};
    const state = [timeline.at, timeline.playing, this.reducedMotion.matches, hiding, starting, Boolean(object?.length), this.mask.cells.size === 0, outputToken, this.pinned, this.open, this.inPlace, this.shown !== null, this.shown?.data.position_map, this.shown?.data.question, this.pointed?.layer.rows];
    this.drawIfChanged("controls", state, () => this.showControls());
    if (this.shown) this.legend();
  }

  showControls() {
    const { figure, timeline, words } = this;
    const key = timeline.playing ? "pause" : timeline.finished ? "again_play" : "play";
    setText(figure.play, words.format(this.reducedMotion.matches && !timeline.finished ? "step" : key));
    setAttribute(figure.scrub, "max", timeline.end);
    figure.scrub.value = timeline.at;
    setAttribute(figure.scrub, "aria-valuetext", this.stepName());
    const part = timeline.finished ? 5 : timeline.step === PATCHES ? (timeline.at > 0.5 ? 2 : 1) : timeline.step === POSITIONS ? 2 : 3;
    for (const node of figure.numbers) node.classList.toggle("now", Number(node.dataset.part) === part);
    const has = Boolean(this.given?.object?.length);
    for (const button of [figure.hideObject, figure.hideRest]) button.hidden = !has;
    figure.hideNone.disabled = this.mask.cells.size === 0;
    const { hiding, starting } = this.given ?? {};
    figure.tools.hidden = !hiding && !starting; // the space is reserved while the server starts
    for (const button of [figure.brush, figure.hideObject, figure.hideRest]) button.disabled = !hiding;
    const { output_token: outputToken } = this.shown?.data ?? {};
    figure.outputToken.hidden = !outputToken;
    if (outputToken) {
      setText(figure.outputToken, this.tokenWords(outputToken));
      setAttribute(figure.outputToken, "aria-pressed", this.pinned === outputToken);
    }
    if (!this.shown) return;
    figure.showPositions.hidden = !this.shown.data.position_map;
    figure.showHeads.hidden = !this.hasAllRows(this.layerOfHeads);
    setAttribute(figure.showHeads, "aria-pressed", this.open !== null);
    setAttribute(figure.showPixels, "aria-pressed", this.inPlace === "pixels");
    setAttribute(figure.showPositions, "aria-pressed", this.inPlace === "positions");
    if (this.inPlace !== null) return; // the title is that of the open part
    setText(figure.sequenceTitle, this.open === null ? words.format("line_title") : words.format("heads_title", { layer: this.open }));
  }

  legend() {
    const uniform = this.layers.length ? this.uniformShare(Math.max(0, this.layerShown)) : 0;
    this.drawIfChanged("legend", [uniform], () => {
      const ends = [percent(FAINTEST * uniform), `${percent(BRIGHTEST * uniform)}`];
      const ramp = "linear-gradient(90deg, #2b2b33, #87216b, #d24644, #f98e09, #f1ed71)";
      const bar = element("i");
      bar.style.background = ramp;
      this.figure.legend.replaceChildren(this.words.format("legend_low", { share: ends[0] }), bar, this.words.format("legend_high", { share: ends[1] }));
    });
  }

  // The caption, a sentence with the values that are shown.
  describe() {
    const text = this.notice ?? this.captionText();
    setText(this.figure.caption, text);
    const { story } = this.shown.data;
    this.figure.showStory(this.timeline.finished ? story.at(-1) : story[this.timeline.step]);
    if (this.timeline.playing) return; // a screen reader would read every caption of the playback
    this.announcer.label(this.figure.photo, `${this.words.format("photo_label", { alt: this.shown.data.alt })} ${text}`);
  }
}
