// One painting a frame, however often it is asked for.

// -> ask(now): has `paint` run in the next frame; with `now` at once, where this frame has not been painted for already, because the
// hand need not wait for a frame to begin. ask.stop(): never again.
export function onceAFrame(paint) {
  let frame = 0;
  let due = false;
  let stopped = false;
  const painted = () => {
    if (stopped || !due) return;
    due = false;
    paint();
  };
  const ask = (now = false) => {
    due = true;
    if (now && !frame) painted();
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      painted();
    });
  };
  ask.stop = () => {
    stopped = true;
    cancelAnimationFrame(frame);
  };
  return ask;
}
