// Canvases: their size on the page and in pixels of the screen, what changes it, what is kept between paintings, and when to paint.

const SHARPEST = 3; // more pixels for one CSS pixel cannot be distinguished
const AROUND = 6; // CSS pixels that a mark may reach beyond its box
const LOOK_EVERY_MS = 1000;

export function pixelRatio() {
  return Math.min(window.devicePixelRatio || 1, SHARPEST);
}

// The height that a page is laid out in (100svh): `innerHeight` changes while one scrolls on a phone, whose bars come and go.
export function windowHeight() {
  return document.documentElement.clientHeight;
}

// Gives a canvas a size on the page and as many pixels as the screen has for it. -> whether that changed anything. The size on the
// page is compared too: at another zoom the same pixels may stand for another size.
export function sizeCanvas(canvas, width, height) {
  const ratio = pixelRatio();
  const [pixelWidth, pixelHeight] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  const [styleWidth, styleHeight] = [`${width}px`, `${height}px`];
  const alike = canvas.width === pixelWidth && canvas.height === pixelHeight;
  if (alike && canvas.style.width === styleWidth && canvas.style.height === styleHeight) return false;
  if (!alike) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  canvas.style.width = styleWidth;
  canvas.style.height = styleHeight;
  return true;
}

// Canvas pixels in one CSS pixel, from what sizeCanvas set: asking the page for its layout in the middle of a frame that writes
// to it would make the browser lay it out again each time.
export function unitOf(canvas) {
  return canvas.width / (parseFloat(canvas.style.width) || canvas.width);
}

// The cleared canvas at that size. -> its context, in CSS pixels.
export function penOf(canvas, width, height) {
  sizeCanvas(canvas, width, height);
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  return pen;
}

// `base` as a cleared canvas of as many pixels as `canvas`, for what lies under its marks. -> its context, in CSS pixels
export function penUnder(base, canvas) {
  [base.width, base.height] = [canvas.width, canvas.height];
  const [pen, unit] = [base.getContext("2d"), unitOf(canvas)];
  pen.setTransform(unit, 0, 0, unit, 0, 0);
  return pen;
}

export function clearCanvas(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// The cleared box of a canvas that shows several things. -> its context, in CSS pixels from the box's corner; `restore` it afterwards.
export function penIn(canvas, [x, y], width, height) {
  const pen = canvas.getContext("2d");
  const unit = unitOf(canvas);
  pen.save();
  pen.setTransform(unit, 0, 0, unit, x * unit, y * unit);
  pen.beginPath();
  pen.rect(0, 0, width, height);
  pen.clip();
  pen.clearRect(0, 0, width, height);
  return pen;
}

// Marks over what is kept of a canvas: a move paints only where marks came or went.
export class Marks {
  // under(context): paints all that lies under the marks, in canvas pixels; called where only a part is to be painted, too.
  constructor(canvas, under) {
    Object.assign(this, { canvas, under, shown: new Map() });
  }

  // marks: Map of a key for what a mark looks like and where, to { box: [x, y, width, height], draw(context) }, in CSS
  // pixels and in the order of painting. all: whether what lies under them is another, or the canvas has another size.
  paint(marks, all) {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const before = this.shown;
    this.shown = marks;
    const changed = [];
    for (const [key, { box }] of before) if (!marks.has(key)) changed.push(box);
    for (const [key, { box }] of marks) if (!before.has(key)) changed.push(box);
    if (!all && !changed.length) return;
    const unit = unitOf(canvas);
    const areas = all ? [[0, 0, canvas.width, canvas.height]] : changed.map((box) => around(box, unit));
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    for (const area of areas) context.rect(...area);
    context.clip();
    if (all) context.clearRect(0, 0, canvas.width, canvas.height);
    else for (const area of areas) context.clearRect(...area);
    this.under(context);
    context.setTransform(unit, 0, 0, unit, 0, 0);
    for (const { box, draw } of marks.values()) {
      if (all || areas.some((area) => meet(area, around(box, unit)))) draw(context);
    }
    context.restore();
  }
}

function around([x, y, width, height], unit) {
  const [left, top] = [Math.floor((x - AROUND) * unit), Math.floor((y - AROUND) * unit)];
  return [left, top, Math.ceil((x + width + AROUND) * unit) - left, Math.ceil((y + height + AROUND) * unit) - top];
}

function meet([x, y, width, height], [left, top, across, down]) {
  return x < left + across && left < x + width && y < top + down && top < y + height;
}

// Calls changed({ width, windowHeight, spare }) at first, and when `node` gets another width, the window another height, or a CSS pixel
// another number of screen pixels (zoom, another screen). The width is given because asking for it in a frame could make the
// browser lay the page out. spare: what the presenter's view leaves of
// the height that figures otherwise leave to the lead and controls below them. -> stop()
export function watchSize(node, changed) {
  let width = null;
  let last = "";
  const look = () => {
    const now = [width, windowHeight(), pixelRatio()].join();
    if (width === null || now === last) return;
    last = now;
    const spare = parseFloat(getComputedStyle(node).getPropertyValue("--vv-spare")) || 0;
    changed({ width, windowHeight: windowHeight(), spare });
  };
  const observer = new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    look();
  });
  observer.observe(node);
  // A change of the ratio alone: the box in screen pixels is given where it is known, and the media query where it is not. Chromium
  // gives neither where the ratio is set for a window whose size stays (its emulation of screens does so): reading it costs nothing.
  const timer = setInterval(look, LOOK_EVERY_MS);
  const screen = new ResizeObserver(look);
  try {
    screen.observe(node, { box: "device-pixel-content-box" });
  } catch {
    screen.disconnect();
  }
  window.addEventListener("resize", look);
  let query = null;
  const watchRatio = () => {
    query?.removeEventListener("change", ratioChanged);
    query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`); // about one ratio
    query.addEventListener("change", ratioChanged);
  };
  const ratioChanged = () => {
    watchRatio();
    look();
  };
  watchRatio();
  return () => {
    clearInterval(timer);
    observer.disconnect();
    screen.disconnect();
    window.removeEventListener("resize", look);
    query.removeEventListener("change", ratioChanged);
  };
}

// One painting a frame, however often it is asked for.
// -> ask(now): has `paint(false)` run in the next frame; with `now`, `paint(true)` at once, where this frame has not been painted for
// already, so that a pointer's movement is answered without waiting for a frame. ask.stop(): never again.
export function onceAFrame(paint) {
  let frame = 0;
  let due = false;
  let stopped = false;
  const painted = (now) => {
    if (stopped || !due) return;
    due = false;
    paint(now);
  };
  const ask = (now = false) => {
    due = true;
    if (now && !frame) painted(true);
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      painted(false);
    });
  };
  ask.stop = () => {
    stopped = true;
    cancelAnimationFrame(frame);
  };
  return ask;
}
