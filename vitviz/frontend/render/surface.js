// Canvases: their size on the page and in pixels of the screen, what changes it, and one painting a frame.

// Gives a canvas a size on the page and as many pixels as the screen has for it. -> whether that changed anything. The size on the
// page is compared too: at another zoom the same pixels may stand for another size.
export function sizeCanvas(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
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

// Calls `changed` when `node` gets another width or height, the window another height, or a CSS pixel another number of screen
// pixels (zoom, another screen). -> stop()
export function watchSize(node, changed) {
  const observer = new ResizeObserver(changed);
  observer.observe(node);
  window.addEventListener("resize", changed);
  let query = null;
  const watchRatio = () => {
    query?.removeEventListener("change", ratioChanged);
    query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    query.addEventListener("change", ratioChanged);
  };
  const ratioChanged = () => {
    watchRatio(); // a query is about one ratio
    changed();
  };
  watchRatio();
  return () => {
    observer.disconnect();
    window.removeEventListener("resize", changed);
    query.removeEventListener("change", ratioChanged);
  };
}

// One painting a frame, however often it is asked for.
// -> ask(now): has `paint(false)` run in the next frame; with `now`, `paint(true)` at once, where this frame has not been painted for
// already, because the hand need not wait for a frame to begin. ask.stop(): never again.
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
