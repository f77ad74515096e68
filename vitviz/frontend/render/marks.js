// Marks over a picture: frames around patches, lines between them, hidden cells, and links.

const FINEST_GRID = 5; // CSS pixels

// The box of one patch in a canvas of that size: [x, y, width, height].
export function boxOf([rows, cols], [row, col], { width, height }) {
  return [(col * width) / cols, (row * height) / rows, width / cols, height / rows];
}

// Two strokes, dark outside and light inside, so that the frame can be seen on every colour and every photograph.
export function drawFrame(context, box, colour, thickness) {
  const [x, y, width, height] = box;
  context.setLineDash([]);
  context.lineWidth = thickness + 2;
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = thickness;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);
}

// A word beside a marked patch: the box that it takes, on the side where there is space, and its drawing.
export function tagBox(text, [x, y, width, height], whole) {
  const wide = 7 * text.length + 6;
  return [x + width + wide + 2 < whole ? x + width + 3 : x - wide - 3, y + height / 2 - 8, wide, 16];
}

export function drawTag(pen, text, [x, y, width, height], font) {
  pen.font = `600 12px ${font}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = "rgba(0, 0, 0, 0.75)";
  pen.fillRect(x, y, width, height);
  pen.fillStyle = "#ffffff";
  pen.fillText(text, x + width / 2, y + height / 2);
}

// Lines between corners of cells, [row, col, row, col] each: pale and thin, or in `colour` where one is given, and never so
// thick that they cover a cell.
export function drawSegments(context, segments, [rows, cols], { width, height }, colour) {
  const thick = colour ? Math.max(1, Math.min(3, Math.min(width / cols, height / rows) / 5)) : 1;
  context.setLineDash([]);
  for (const [style, line] of [["rgba(0, 0, 0, 0.7)", thick + 2], [colour || "#fff", thick]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    for (const [row, col, lastRow, lastCol] of segments) {
      context.moveTo((col * width) / cols, (row * height) / rows);
      context.lineTo((lastCol * width) / cols, (lastRow * height) / rows);
    }
    context.stroke();
  }
}

// unit: canvas pixels in one CSS pixel. The finer the grid, the fainter: lines must not hide what they divide.
export function drawGrid(context, [rows, cols], unit) {
  const { width, height } = context.canvas;
  const cell = width / cols / unit;
  if (cell < FINEST_GRID) return;
  context.beginPath();
  for (let row = 1; row < rows; row++) {
    const y = Math.round((row * height) / rows) + 0.5;
    context.moveTo(0, y);
    context.lineTo(width, y);
  }
  for (let col = 1; col < cols; col++) {
    const x = Math.round((col * width) / cols) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, height);
  }
  context.lineWidth = 1;
  context.strokeStyle = `rgba(255, 255, 255, ${Math.min(0.3, 0.015 * cell)})`;
  context.stroke();
}

// The page's colour over the whole picture.
export function veil(pen, colour, opacity, width, height) {
  pen.fillStyle = colour;
  pen.globalAlpha = opacity;
  pen.fillRect(0, 0, width, height);
  pen.globalAlpha = 1;
}

// The cuts between patches, `line` wide.
export function drawCuts(pen, [rows, cols], width, height, line, colour) {
  pen.fillStyle = colour;
  for (let row = 1; row < rows; row++) pen.fillRect(0, (row * height) / rows - line / 2, width, line);
  for (let col = 1; col < cols; col++) pen.fillRect((col * width) / cols - line / 2, 0, line, height);
}

// A patch that is hidden, as the model gets it: the same place of `hidden`, the picture with every patch hidden. A hairline separates
// that it is no part of the photograph.
export function hide(pen, hidden, from, [x, y, width, height]) {
  pen.drawImage(hidden, ...from, x, y, width, height);
  pen.setLineDash([]);
  pen.lineWidth = 1;
  pen.strokeStyle = "rgba(255, 255, 255, 0.45)";
  pen.strokeRect(x + 1, y + 1, width - 2, height - 2);
}

// A cell that is painted: darkened, and struck through, so that it can be recognised without colour.
export function strike(pen, [x, y, width, height], colour) {
  pen.fillStyle = "rgba(20, 20, 20, 0.6)";
  pen.fillRect(x, y, width, height);
  for (const [ink, wide] of [["rgba(0, 0, 0, 0.85)", 4], [colour, 2]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.moveTo(x + 2, y + 2);
    pen.lineTo(x + width - 2, y + height - 2);
    pen.moveTo(x + width - 2, y + 2);
    pen.lineTo(x + 2, y + height - 2);
    pen.stroke();
  }
}

// A straight line from one point [x, y] to another, with a dark edge, so that it can be seen on every colour.
export function drawLine(pen, from, to, colour, thickness) {
  for (const [ink, wide] of [["rgba(0, 0, 0, 0.6)", thickness + 2], [colour, thickness]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }
}

// A link is an arc that points the way the attention goes: from the query to the key. from, to: points of queries and keys in canvas pixels; strength 0..1 gives the width.
export function drawLink(context, from, to, strength, unit) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return drawLoop(context, from, strength, unit);
  // The bow stands at a right angle to the straight line; a fifth of its length separates crossing links.
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
