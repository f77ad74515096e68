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
