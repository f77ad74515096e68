// The DOM of the journey: photograph, sequence, prediction, tools for hiding patches, grid of layers, playback controls and
// gallery. This module creates and arranges the nodes; the other journey_ modules decide what they show.

import { FIRST_LAYER } from "../core/timeline.js";
import { Camera } from "../parts/camera.js";
import { svgElement, element, setAttribute, setText } from "../parts/dom.js";
import { sizeCanvas } from "../render/canvas.js";

const BARS = 5;
const GAP = 28;
const THUMB = 52;
export const COMPACT = 800; // CSS pixels of the figure, below which titles are short
export const CELL_GAP = 6; // CSS pixels between two maps in the grid of layers
// CSS pixels of the window height that neither the photograph nor the first two rows of layers take, and the part of
// it that low windows save.
const AROUND = 408;
const LOW = 820; // window height from which nothing is saved, as in the style sheet
const SAVED = 22;
const FRAMES_SHARE = 0.435; // fraction of the remaining height for the layers
const ROW_WORTH = 1.1; // how much larger the maps of a further row have to be
const [CONTROLS, LINES] = [78, 190]; // CSS pixels of playback controls and gallery; of all lines of text together
const HEADER = 620; // CSS pixels of width that fit the layers' title, scale and link on one line
const WIDEST_ANSWER = 640;
const TOOLS = 34; // CSS pixels below the sequence
const ABOVE_ROW = 30; // CSS pixels above each further row of layers, for its names
const MOST_ROWS = 4;
const MOVED_MS = 300; // duration of the movement of bars, and a margin
const LEAST_FRAMES = 146; // least CSS pixels of all rows together, which the prediction beside them needs
const [SMALLEST_HEAD, LARGEST_HEAD, HEAD_GAP, HEAD_NAME] = [48, 180, 8, 20]; // CSS pixels of a head's map, gaps and name

// Computes the sizes of the parts for a given width and height: the maps of layers are as large as they can be beside the
// prediction, and the photograph has the remaining height. type: scale of the type, over 1 in the presenter's view, which has
// neither controls nor gallery.
// -> { narrow, photo, sequence, sequenceHeight, answer, frame, columns }
export function sizesFor(width, height, layers, type = 1) {
  const narrow = width < 620;
  if (narrow) return { narrow, photo: Math.min(width, 340), sequence: width, sequenceHeight: 110, answer: width, frame: 64, columns: layers };
  const answer = Math.max(150, Math.min(280, Math.round(0.21 * width)));
  const room = width - answer - GAP;
  const spare = type > 1 ? CONTROLS - (type - 1) * LINES : 0;
  let best = null;
  for (let rows = 1; rows <= Math.min(MOST_ROWS, layers); rows++) {
    const columns = Math.ceil(layers / rows);
    const tall = Math.max(300, height + spare - AROUND + (height > LOW ? 0 : SAVED) - Math.max(0, rows - 2) * ABOVE_ROW);
    const frame = Math.floor(Math.min((room - (columns - 1) * CELL_GAP) / columns, (FRAMES_SHARE * tall) / rows, 160));
    if (!best || frame > ROW_WORTH * best.frame) best = { frame, columns, photo: Math.floor(Math.min(tall - Math.max(LEAST_FRAMES, rows * frame), 0.36 * width, 480)) };
  }
  const { photo, frame, columns } = best;
  // The prediction has the width that the maps of layers leave.
  const beside = width - GAP - Math.max(Math.min(room, type * HEADER), columns * (frame + CELL_GAP));
  return { narrow, answer: Math.max(answer, Math.min(WIDEST_ANSWER, beside)), sequence: width - photo - GAP, sequenceHeight: photo - TOOLS, ...best };
}

// -> the largest side in CSS pixels at which the maps of `count` heads fit a width and a height. ratio: height / width of a map
export function headSide(count, width, height, ratio) {
  let best = SMALLEST_HEAD;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const [across, down] = [(width - (columns - 1) * HEAD_GAP) / columns, height / rows - HEAD_NAME - HEAD_GAP];
    best = Math.max(best, Math.min(across, down / ratio, LARGEST_HEAD));
  }
  return Math.floor(best);
}

export class JourneyFigure {
  // words: Words. actions: callbacks of the controls.
  constructor(words, actions) {
    Object.assign(this, { words, actions });
    const label = (key) => words.format(key);
    this.caption = element("p", { class: "caption" });
    this.storyText = element("span", {});
    this.storyLink = element("button", { class: "link more", type: "button", onclick: () => actions.open(this.storyLink.dataset.page) });
    this.story = element("p", { class: "story" }, this.storyText, this.storyLink);
    this.photo = element("canvas", { class: "photo", tabindex: 0, role: "application" });
    this.sequence = element("canvas", { class: "sequence", "aria-hidden": "true" }); // the photograph has the same content and actions
    this.heads = element("div", { class: "heads", role: "group", hidden: true });
    this.bars = element("ol", { class: "bars" });
    this.features = element("canvas", { class: "features", hidden: true, role: "img" }); // in place of the prediction
    this.note = element("p", { class: "note" });
    this.answerTitle = element("span", { class: "title" });
    this.sequenceTitle = element("span", { class: "title" });
    this.outputToken = element("button", { class: "link aside", type: "button", hidden: true, onclick: () => actions.pinOutputToken() });
    this.camera = new Camera(words, { taken: actions.upload, failed: (reason) => actions.failed("camera_failed", reason) });
    this.showPixels = element("button", { class: "link aside", type: "button", text: label("pixels"), "aria-pressed": "false", onclick: () => actions.show("pixels") });
    this.photoSection = this.#part("photo", 1, label("photo_title"), "patches", this.showPixels, this.photo, this.camera.node);
    this.pixelCanvas = element("canvas", { role: "img" });
    this.pixelsNote = element("p", { class: "note" });
    this.pixels = element("div", { class: "opened pixels", hidden: true }, this.pixelCanvas, this.pixelsNote); // in place of the sequence
    this.showPositions = element("button", { class: "link aside", type: "button", hidden: true, text: label("positions"), "aria-pressed": "false", onclick: () => actions.show("positions") });
    this.showHeads = element("button", { class: "link aside", type: "button", hidden: true, text: label("heads"), "aria-pressed": "false", onclick: () => actions.heads() });
    this.positionsCanvas = element("canvas", { role: "img" });
    [this.positionsText, this.positionsNote] = [element("p", {}), element("p", { class: "note" })];
    this.positions = element("div", { class: "opened positions", hidden: true }, this.positionsCanvas, element("div", {}, this.positionsText, this.positionsNote)); // likewise
    this.sequenceSection = this.#part("sequence", 2, this.sequenceTitle, "positions", [this.outputToken, this.showPositions, this.showHeads], this.sequence, this.heads, this.pixels, this.positions);
    this.curveTitle = element("span", {});
    this.curveCanvas = element("canvas", { role: "img" });
    const back = element("button", { class: "link", type: "button", text: label("curve_back"), onclick: () => actions.curve(null) });
    this.curve = element("div", { class: "curve", hidden: true }, element("p", {}, this.curveTitle, back), this.curveCanvas); // in place of the bars
    this.answerSection = this.#part("answer", 4, this.answerTitle, "prediction", null, this.bars, this.curve, this.features, this.note);
    this.tools = this.#tools();
    this.legend = element("span", { class: "legend" });
    this.layersTitle = element("span", { class: "title" });
    this.frames = element("canvas", { class: "frames", "aria-hidden": "true" }); // one canvas for all layers saves compositing
    this.scrolled = 0; // scroll position of the grid of layers in CSS pixels
    this.layerGrid = element("div", { class: "layer-grid", onscroll: () => actions.scroll((this.scrolled = this.layerGrid.scrollLeft)) });
    const header = this.#header(3, this.layersTitle, "microscope", this.legend);
    this.layers = element("section", { class: "layers", "aria-label": label("layers_title") }, header, this.layerGrid);
    this.transport = this.#transport();
    this.gallery = element("div", { class: "gallery", role: "group", "aria-label": label("gallery") });
    this.movingPatches = element("canvas", { class: "overlay", "aria-hidden": "true" }); // patches on their way to the sequence
    this.ways = { drop: svgElement("path"), way: svgElement("path"), answer: svgElement("path", { pathLength: 1 }), marked: svgElement("rect"), pointed: svgElement("rect") };
    for (const [name, node] of Object.entries(this.ways)) node.setAttribute("class", name);
    this.ends = [svgElement("circle", { r: 3 }), svgElement("circle", { r: 3 })];
    this.overlay = svgElement("svg", { class: "overlay", "aria-hidden": "true" }, ...Object.values(this.ways), ...this.ends);
    this.root = element(
      "div",
      { class: "journey" },
      this.photoSection,
      this.sequenceSection,
      this.tools,
      this.layers,
      this.answerSection,
      this.caption,
      this.story,
      this.transport,
      this.gallery,
      this.movingPatches,
      this.overlay,
    );
    this.cells = []; // { node, button, frame, share, name, bar } of each layer
    this.rows = []; // nodes of the bars
    for (let i = 0; i < BARS; i++) this.#addBar();
    this.numbers = [...this.root.querySelectorAll("[data-part]")];
  }

  #part(kind, number, title, page, extra, ...parts) {
    const label = typeof title === "string" ? title : undefined;
    return element("section", { class: `part ${kind}-part`, "aria-label": label }, this.#header(number, title, page, extra), ...parts);
  }

  #header(number, title, page, extra) {
    const name = typeof title === "string" ? element("span", { class: "title", text: title }) : title;
    return element("div", { class: "header" }, element("span", { class: "number", "data-part": number, text: number }), name, ...[extra ?? []].flat(), this.#more(page));
  }

  #more(page) {
    return element("button", { class: "link more", type: "button", "data-page": page, onclick: () => this.actions.open(page) });
  }

  #tools() {
    const { words, actions } = this;
    const button = (key, act, pressed) =>
      element("button", { class: "link", type: "button", text: words.format(key), "aria-pressed": pressed, onclick: act });
    this.brush = button("brush", () => actions.brush(), "false");
    this.hideObject = button("hide_object", () => actions.hide("object"));
    this.hideRest = button("hide_rest", () => actions.hide("rest"));
    this.hideNone = button("hide_none", () => actions.hide("none"));
    const number = element("span", { class: "number", "data-part": 5, text: 5 });
    const title = element("span", { class: "title", text: words.format("hide_title") });
    const buttons = [this.brush, this.hideObject, this.hideRest, this.hideNone];
    return element("div", { class: "tools", role: "group", "aria-label": words.format("hide_title") }, number, title, ...buttons, this.#more("what_if"));
  }

  #transport() {
    const { words, actions } = this;
    this.play = element("button", { class: "play", type: "button", onclick: () => actions.toggle() });
    this.back = element("button", { class: "icon", type: "button", text: "‹", "aria-label": words.format("step_back"), onclick: () => actions.jump(-1) });
    this.forward = element("button", { class: "icon", type: "button", text: "›", "aria-label": words.format("step"), onclick: () => actions.jump(1) });
    this.scrub = element("input", { class: "scrub", type: "range", min: 0, max: 14, step: 0.01, "aria-label": words.format("scrub"), oninput: (event) => actions.seek(Number(event.target.value)) });
    this.speeds = [0.5, 1, 2].map((speed) =>
      element("button", { class: "link speed", type: "button", text: `${speed}×`, "aria-pressed": String(speed === 1), onclick: () => actions.speed(speed) }),
    );
    const speed = element("span", { class: "speeds", role: "group", "aria-label": words.format("speed") }, ...this.speeds);
    return element("div", { class: "transport" }, this.play, this.back, this.forward, this.scrub, speed);
  }

  #addBar() {
    const name = element("span", { class: "name" });
    const value = element("span", { class: "value" });
    const fill = element("span", { class: "fill" });
    const before = element("span", { class: "before", hidden: true });
    const track = element("span", { class: "track" }, fill, before);
    const text = element("button", { class: "text", type: "button", disabled: true, onclick: () => this.actions.curve(name.textContent) }, name, value);
    const node = element("li", { class: "bar empty" }, text, track);
    this.rows.push({ node, button: text, name, value, fill, before });
    this.bars.append(node);
  }

  // Sets the titles of the links to other pages.
  linkTitles(pages) {
    this.pages = pages;
    for (const link of this.root.querySelectorAll(".more")) {
      const title = pages[link.dataset.page];
      link.hidden = !title;
      if (title) setText(link, this.words.format("open", { page: title }));
    }
  }

  // Shows the sentence of a step, and the link to the page that explains it.
  showStory({ text, page }) {
    setText(this.storyText, text);
    if (this.storyLink.dataset.page === page) return;
    this.storyLink.dataset.page = page;
    this.linkTitles(this.pages);
  }

  // Creates one cell per layer.
  arrangeLayers(names) {
    if (this.cells.length === names.length && this.cells.every(({ label }, i) => label === names[i])) return;
    const kept = this.root.getRootNode().activeElement;
    const index = this.cells.findIndex(({ button }) => button === kept);
    this.cells = names.map((label, layer) => {
      const step = layer + FIRST_LAYER;
      const name = element("span", { class: "reading" });
      const share = element("span", { class: "share" });
      const number = element("span", { text: label, "aria-label": this.words.format("layer", { layer }) });
      const button = element("button", { class: "cell-name", type: "button", onclick: () => this.actions.step(step) }, number, name, share);
      const frame = element("div", { class: "frame", "data-step": step });
      const bar = element("span", { class: "foot-fill" });
      const foot = element("span", { class: "foot-track" }, bar);
      return { label, node: element("div", { class: "cell" }, button, frame, foot), button, frame, share, name, bar };
    });
    this.layerGrid.replaceChildren(this.frames, ...this.cells.map(({ node }) => node));
    if (index >= 0) this.cells[index]?.button.focus();
  }

  // Measures the boxes of the parts, { x, y, width, height } from the corner of the figure; boxes of layers also have their corner
  // `inside` the canvas of the grid. Sizes the canvases that lie over other parts.
  measured() {
    const { root, layerGrid, frames, movingPatches, overlay } = this;
    for (const node of [movingPatches, overlay, frames]) node.style.display = "none"; // their own sizes must not count
    const whole = { width: root.offsetWidth, height: root.offsetHeight };
    const long = [layerGrid.scrollWidth, layerGrid.scrollHeight];
    for (const node of [movingPatches, overlay, frames]) node.style.display = "";
    sizeCanvas(frames, ...long);
    const origin = root.getBoundingClientRect();
    const boxOf = (node) => {
      const box = node.getBoundingClientRect();
      return { x: box.left - origin.left, y: box.top - origin.top, width: box.width, height: box.height };
    };
    const gridBox = boxOf(layerGrid);
    const boxes = this.cells.map(({ frame }) => {
      const box = boxOf(frame);
      return { ...box, inside: [box.x - gridBox.x + layerGrid.scrollLeft, box.y - gridBox.y] };
    });
    this.scrolled = layerGrid.scrollLeft;
    return { root: whole, photo: boxOf(this.photo), sequence: boxOf(this.sequence), bars: boxOf(this.bars), layerGrid: gridBox, frames: boxes, scrolled: this.scrolled };
  }

  // pictures: [{ id, title, url, alt }]; chosen: id
  arrangeGallery(pictures, chosen) {
    const asked = JSON.stringify(pictures);
    if (asked !== this.galleryShown) {
      this.galleryShown = asked;
      const tiles = pictures.map(({ id, title, url, alt, note }) =>
        element(
          "button",
          { class: "thumb", type: "button", "data-image": id, title: note ? `${title}: ${note}` : title, "aria-label": note ? `${alt} (${note})` : alt, onclick: () => this.actions.choose(id) },
          element("img", { src: url, alt: "", width: THUMB, height: THUMB, loading: "lazy" }),
        ),
      );
      const outside = pictures.findIndex(({ note }) => note);
      if (outside >= 0) tiles.splice(outside, 0, element("span", { class: "outside", "aria-hidden": "true", text: pictures[outside].note }));
      // The visitor's own photograph comes first, because the row may be wider than the screen. These tiles are kept, because one
      // of them may have the focus.
      if (!this.gallery.firstChild) this.gallery.append(...this.#ownTiles());
      for (const old of this.gallery.querySelectorAll(".thumb, .outside")) old.remove();
      this.gallery.append(...tiles);
    }
    for (const tile of this.gallery.querySelectorAll(".thumb")) setAttribute(tile, "aria-pressed", tile.dataset.image === chosen);
  }

  #ownTiles() {
    const { words, actions } = this;
    const input = element("input", { type: "file", accept: "image/*", hidden: true });
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = ""; // so that the same file can be chosen again
      if (file) actions.upload(file);
    });
    const upload = element("button", { class: "tile", type: "button", text: words.format("upload"), onclick: () => input.click() });
    return [upload, input, this.camera.tile, this.camera.input];
  }

  // values: [{ name, value, text, before }] in descending order, or null for empty bars. moving: whether the
  // next values follow at once.
  showBars(values, moving) {
    const before = new Map(this.rows.map((row) => [row.key, row]));
    const free = this.rows.filter((row) => !values?.some(({ name }) => name === row.key));
    const rows = (values ?? []).map(({ name }) => before.get(name) ?? free.shift());
    this.rows.forEach((row) => {
      const place = rows.indexOf(row);
      const shown = place >= 0 ? values[place] : null;
      row.node.classList.toggle("empty", !shown);
      row.node.classList.toggle("first", place === 0);
      row.button.disabled = !shown;
      setAttribute(row.button, "aria-hidden", !shown); // an empty bar has no name
      row.key = shown?.name ?? null;
      setText(row.name, shown?.name ?? "");
      setText(row.value, shown?.text ?? "");
      row.fill.style.transform = `scaleX(${shown ? Math.max(0, Math.min(1, shown.length)) : 0})`;
      row.before.hidden = shown?.before === undefined;
      if (!row.before.hidden) row.before.style.left = `${100 * Math.max(0, Math.min(1, shown.before))}%`;
    });
    const order = [...rows, ...this.rows.filter((row) => !rows.includes(row))];
    order.forEach((row, place) => {
      row.node.style.transform = `translateY(${place * 100}%)`;
      row.node.style.order = place;
    });
    // Screen readers read the bars in the order of the nodes. Inserting a node again would end its movement, so the
    // nodes are reordered after it.
    clearTimeout(this.ordering);
    const other = order.some((row, place) => this.bars.children[place] !== row.node);
    if (!moving && other) this.ordering = setTimeout(() => this.bars.replaceChildren(...order.map(({ node }) => node)), MOVED_MS);
  }
}
