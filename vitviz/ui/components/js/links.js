// The strongest links as arcs over the picture. An arc points the way the attention goes: from the query to the key.

// from, to: points of queries and keys in canvas pixels; strength 0..1 gives the width.
export function drawLink(context, from, to, strength, unit) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return drawLoop(context, from, strength, unit);
  // The bow stands at a right angle to the straight line; a fifth of its length tells crossing links apart.
  const bend = [(from[0] + to[0]) / 2 - dy * 0.2, (from[1] + to[1]) / 2 + dx * 0.2];
  const tip = Math.atan2(to[1] - bend[1], to[0] - bend[0]);
  const head = unit * (4 + 4 * strength);
  const path = new Path2D();
  path.moveTo(...from);
  path.quadraticCurveTo(...bend, ...to);
  for (const side of [-1, 1]) {
    path.moveTo(...to);
    path.lineTo(to[0] - head * Math.cos(tip + side * 0.45), to[1] - head * Math.sin(tip + side * 0.45));
  }
  stroke(context, path, strength, unit);
}

function drawLoop(context, [x, y], strength, unit) {
  const path = new Path2D();
  path.arc(x, y - 6 * unit, 6 * unit, Math.PI * 0.6, Math.PI * 2.4);
  stroke(context, path, strength, unit);
}

function stroke(context, path, strength, unit) {
  const width = unit * (1.25 + 3 * strength);
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = width + 2 * unit;
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = "#ffffff";
  context.stroke(path);
}
