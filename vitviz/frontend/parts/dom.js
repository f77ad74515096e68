// Helpers for the DOM: creates nodes, writes text only if it changes, observes sizes, and schedules painting.

const SHARPEST = 3; // screen pixels for one CSS pixel; more cannot be distinguished
const CHECK_EVERY_MS = 1000;

// Creates a node: element("button", { class: "chip", text: "class token", onclick }, child, child).
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Creates an SVG node.
export function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Sets the text of a node that contains only text. Unchanged text is not written, because writing causes a new layout; changed text
// goes into the existing text node, which is much faster than the new text node that `textContent` creates.
export function setText(node, text) {
  const old = node.firstChild;
  if (!old) node.append(text);
  else if (old.data !== text) old.data = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function pixelRatio() {
  return Math.min(window.devicePixelRatio || 1, SHARPEST);
}

// -> the viewport height used for layout (100svh). `innerHeight` would change while a phone scrolls, as its browser
// bars disappear and return.
export function windowHeight() {
  return document.documentElement.clientHeight;
}

// Calls changed({ width, windowHeight, spare }) at first, and whenever the width of `node`, the height of the window or the device
// pixel ratio changes (by zoom, or on another screen). The width is passed because reading it during a frame could force a layout.
// spare: the height that the presenter's view frees by hiding the lead and the controls below figures. -> stop()
export function watchSize(node, changed) {
  let width = null;
  let last = "";
  const check = () => {
    const now = [width, windowHeight(), pixelRatio()].join();
    if (width === null || now === last) return;
    last = now;
    const spare = parseFloat(getComputedStyle(node).getPropertyValue("--vv-spare")) || 0;
    changed({ width, windowHeight: windowHeight(), spare });
  };
  const observer = new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    check();
  });
  observer.observe(node);
  // A change of the pixel ratio alone is observed through the device-pixel box in browsers that have it, and through a media
  // query in the others. Chromium's screen emulation changes the ratio and fires neither, so the ratio is also read once a
  // second, which costs nothing.
  const timer = setInterval(check, CHECK_EVERY_MS);
  const screen = new ResizeObserver(check);
  try {
    screen.observe(node, { box: "device-pixel-content-box" });
  } catch {
    screen.disconnect();
  }
  window.addEventListener("resize", check);
  let query = null;
  const watchRatio = () => {
    query?.removeEventListener("change", ratioChanged);
    query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`); // for one ratio, so replaced after each change
    query.addEventListener("change", ratioChanged);
  };
  const ratioChanged = () => {
    watchRatio();
    check();
  };
  watchRatio();
  return () => {
    clearInterval(timer);
    observer.disconnect();
    screen.disconnect();
    window.removeEventListener("resize", check);
    query.removeEventListener("change", ratioChanged);
  };
}

// Schedules `paint` at most once per frame, however often it is requested.
// -> request(now): calls `paint(false)` in the next frame. With `now` it calls `paint(true)` at once if this frame has not been
// painted yet, so that a pointer event is answered without waiting for a frame. request.stop(): ends it.
export function oncePerFrame(paint) {
  let frame = 0;
  let due = false;
  let stopped = false;
  const painted = (now) => {
    if (stopped || !due) return;
    due = false;
    paint(now);
  };
  const request = (now = false) => {
    due = true;
    if (now && !frame) painted(true);
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      painted(false);
    });
  };
  request.stop = () => {
    stopped = true;
    cancelAnimationFrame(frame);
  };
  return request;
}
