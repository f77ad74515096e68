// The page: its nodes, the size there is, and when to paint.

const SHARPEST = 3; // more pixels for one CSS pixel cannot be distinguished
const CHECK_EVERY_MS = 1000;

// A node in short: element("button", { class: "chip", text: "class token", onclick }, child, child).
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

// An SVG node.
export function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// For a node that holds text only. Writing the same text again would make the browser lay the page out again, and `textContent`
// would make a new text node each time, which costs much more than new words in the old one.
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

// The height that a page is laid out in (100svh): `innerHeight` changes while one scrolls on a phone, whose bars come and go.
export function windowHeight() {
  return document.documentElement.clientHeight;
}

// Calls changed({ width, windowHeight, spare }) at first, and when `node` gets another width, the window another height, or a CSS pixel
// another number of screen pixels (zoom, another screen). The width is given because asking for it in a frame could make the
// browser lay the page out. spare: what the presenter's view leaves of
// the height that figures otherwise leave to the lead and controls below them. -> stop()
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
  // A change of the ratio alone: the box in screen pixels is given where it is known, and the media query where it is not. Chromium
  // gives neither where the ratio is set for a window whose size stays (its emulation of screens does so): reading it costs nothing.
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
    query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`); // about one ratio
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

// One painting a frame, however often it is asked for.
// -> request(now): has `paint(false)` run in the next frame; with `now`, `paint(true)` at once, where this frame has not been painted for
// already, so that a pointer's movement is answered without waiting for a frame. request.stop(): never again.
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
