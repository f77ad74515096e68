// From a pointer on a canvas to a patch: mouse, pen and finger alike.

const TAP_TOLERANCE = 10; // CSS pixels a finger may slip and still mean a tap
const TAP_MS = 600;

// The [row, col] under a pointer event; null outside the canvas.
export function cellUnder(event, canvas, [rows, cols]) {
  const box = canvas.getBoundingClientRect();
  const col = Math.floor(((event.clientX - box.left) / box.width) * cols);
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
  return row >= 0 && row < rows && col >= 0 && col < cols ? [row, col] : null;
}

// hover(event): the pointer is over the canvas, or a finger drags over it. leave(): it went away. tap(event): click or tap.
// The canvas says `touch-action: pan-y`, so a finger that moves up or down still scrolls the page.
export function watchPointer(canvas, { hover, leave, tap }) {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    down = event.isPrimary && event.button === 0 ? event : null;
    if (down && event.pointerType !== "mouse") hover(event);
  });
  // A raw update comes when the hand moves, `pointermove` with the frame after it, and the answer can be under way by then. Not
  // every browser has raw updates, and none on a page without a secure origin, so both are heard.
  for (const moved of ["pointerrawupdate", "pointermove"]) {
    canvas.addEventListener(moved, (event) => {
      if (event.isPrimary) hover(event);
    });
  }
  canvas.addEventListener("pointerup", (event) => {
    if (!down || !event.isPrimary) return;
    const slipped = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
    const meant = event.pointerType === "mouse" || event.timeStamp - down.timeStamp < TAP_MS;
    if (slipped < TAP_TOLERANCE && meant) tap(event);
    down = null;
  });
  canvas.addEventListener("pointercancel", () => {
    down = null;
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") leave();
  });
}

// Sends what waits as soon as something else is pressed or reached: what a button does must come after what was painted before.
// -> stop()
export function flushOnLeaving(node, reports) {
  const elsewhere = (event) => {
    if (!event.composedPath().includes(node)) reports.flush();
  };
  const away = () => reports.flush();
  window.addEventListener("pointerdown", elsewhere, true);
  node.addEventListener("blur", away);
  return () => window.removeEventListener("pointerdown", elsewhere, true);
}
