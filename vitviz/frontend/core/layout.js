// Which token is which patch, as in vitviz/tokens.py (prefix tokens first, then the patches row by row), and how large grids,
// maps and boards are drawn. All lengths are CSS pixels.

// layout: { prefix: ["cls", ...], grid: [rows, cols] }
export function tokenAt(layout, row, col) {
  return layout.prefix.length + row * layout.grid[1] + col;
}

// [row, col] of a token, or null for a prefix token.
export function cellOf(layout, token) {
  const patch = token - layout.prefix.length;
  return patch < 0 ? null : cellAt(patch, layout.grid[1]);
}

// "cls", "reg0" or "r3c5"
export function nameOf(layout, token) {
  const cell = cellOf(layout, token);
  return cell ? patchName(cell) : layout.prefix[token];
}

// The inverse of nameOf; -1 for a name that does not exist in this layout (another image, another model).
export function tokenNamed(layout, name) {
  if (typeof name !== "string") return -1;
  const prefix = layout.prefix.indexOf(name);
  if (prefix >= 0) return prefix;
  const cell = patchNamed(name);
  if (!cell) return -1;
  const [row, col] = cell;
  return row < layout.grid[0] && col < layout.grid[1] ? tokenAt(layout, row, col) : -1;
}

// The token one step away from a patch; stays at the edge of the grid. Stepping up from the first row goes to the
// prefix tokens, stepping left or right walks along them, stepping down comes back to the patches.
export function step(layout, token, rowStep, colStep) {
  const [rows, cols] = layout.grid;
  const prefix = layout.prefix.length;
  const cell = cellOf(layout, token);
  if (!cell) {
    if (rowStep > 0) return tokenAt(layout, 0, Math.min(cols - 1, Math.floor(((token + 0.5) / prefix) * cols)));
    return Math.min(prefix - 1, Math.max(0, token + colStep));
  }
  const row = cell[0] + rowStep;
  if (row < 0 && prefix) return Math.min(prefix - 1, Math.floor(((cell[1] + 0.5) / cols) * prefix));
  return tokenAt(layout, Math.min(rows - 1, Math.max(0, row)), Math.min(cols - 1, Math.max(0, cell[1] + colStep)));
}

// The token at the same place in another layout: a prefix token by its name, a patch by where its centre lies.
// -1 where the other layout has no such prefix token.
export function tokenAtSamePlace(from, token, to) {
  const cell = cellOf(from, token);
  if (!cell) return to.prefix.indexOf(from.prefix[token]);
  const [row, col] = cell.map((index, axis) => Math.floor(((index + 0.5) / from.grid[axis]) * to.grid[axis]));
  return tokenAt(to, row, col);
}

// A place in a grid without its prefix tokens, as pictures and their links have it: [row, col] <-> "r3c5"; null for other names.
export function patchName([row, col]) {
  return `r${row}c${col}`;
}

export function patchNamed(name) {
  const found = /^r(\d{1,4})c(\d{1,4})$/.exec(name || "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}

// [rows, cols] of what Python says of a picture.
export function gridOf({ rows, cols }) {
  return [rows, cols];
}

// [row, col] of the cell with that index, counted row by row.
export function cellAt(index, cols) {
  return [Math.floor(index / cols), index % cols];
}

export function middleOf([rows, cols]) {
  return [Math.floor(rows / 2), Math.floor(cols / 2)];
}

// The cell `by` [rows, columns] away, which stays at the edge of the grid.
export function neighbour([row, col], by, [rows, cols]) {
  return [clamp(row + by[0], rows), clamp(col + by[1], cols)];
}

function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}

// A place as shares of height and width, so that grids may differ: [row, col] in a grid -> the place of its centre, and back to the
// patch that lies there; null stays null.
export function placeOf(cell, [rows, cols]) {
  return cell && [(cell[0] + 0.5) / rows, (cell[1] + 0.5) / cols];
}

export function cellAtPlace(place, [rows, cols]) {
  return place && [Math.min(Math.floor(place[0] * rows), rows - 1), Math.min(Math.floor(place[1] * cols), cols - 1)];
}

const COLUMN_GAP = 16;
const PICTURE_SHARE = 0.56; // of the width, where maps stand beside the picture
const AROUND_PICTURE = 290; // what stands above it on a page and below it, to the lead
const TWO_COLUMNS = 560; // width from which the maps stand beside the picture
const ONE_LINE = 660; // from which what is read fits on one line
const THREE_LINES = 470; // under which it may take three

// source: the layout that the picture shows. -> { wide, roomy, narrow } for the style sheet, the picture's [width, height], and
// the width that is left for the maps.
export function arrangementFor(source, width, windowHeight) {
  const wide = width >= TWO_COLUMNS;
  const aspect = aspectOf(source);
  // Picture, colour bar and words together are whole on the first screen; beside them the maps have the rest of the width.
  const tallest = tallestFor(windowHeight);
  const pictureWidth = Math.floor(Math.min(wide ? (width - COLUMN_GAP) * PICTURE_SHARE : width, (wide ? tallest : tallest * 1.4) / aspect));
  return {
    wide,
    roomy: width >= ONE_LINE,
    narrow: width < THREE_LINES,
    picture: [pictureWidth, Math.round(pictureWidth * aspect)],
    beside: wide ? width - pictureWidth - COLUMN_GAP : width,
  };
}

// The height that a picture may have in a window.
export function tallestFor(windowHeight) {
  return Math.max(300, windowHeight - AROUND_PICTURE);
}

// Height over width of the area a grid of patches covers.
export function aspectOf({ grid, patch_size: patch }) {
  return (grid[0] * patch[0]) / (grid[1] * patch[1]);
}

// A board's space between maps, left of them and above them. Below NARROWEST it is scrolled in place of squeezed: with the space,
// targets are 24 apart, the least that WCAG 2.2 (2.5.8) asks for.
export const BOARD = { GAP: 3, MARGIN: 26, HEADER: 18, NARROWEST: 21 };

// The sizes of a board in CSS pixels: { wide, high } of a map, { width, height } of all, and what is left free: `margin` and `header`
// for the numbers of rows and columns or, where the maps are one sequence `wrapped` into rows, `above` each map for its own. It is as
// large as `available` (its width) and `tallest` (its height) allow, and no map is narrower than NARROWEST.
export function boardSize([layers, heads, rows, cols], available, tallest, wrapped = false) {
  const { GAP, MARGIN, HEADER, NARROWEST } = BOARD;
  const [margin, header, above] = wrapped ? [GAP, 0, HEADER] : [MARGIN, HEADER, 0];
  const across = (available - margin) / heads - GAP;
  const down = (((tallest + HEADER - header) / layers - GAP - above) * cols) / rows; // the whole board is to be seen at once
  const wide = Math.max(NARROWEST, Math.floor(Math.min(across, down)));
  const high = Math.max(1, Math.round((wide * rows) / cols));
  return { wide, high, margin, header, above, width: margin + heads * (wide + GAP), height: header + layers * (high + GAP + above) };
}

// The box of a map: [x, y, width, height].
export function mapBox({ wide, high, margin, header, above }, layer, head) {
  return [margin + head * (wide + BOARD.GAP), header + above + layer * (high + BOARD.GAP + above), wide, high];
}

// The point [layer, head] in fractions of maps, the space after a map and its number counted to it.
export function pointAt({ wide, high, margin, header, above }, x, y) {
  return [(y - header) / (high + BOARD.GAP + above), (x - margin) / (wide + BOARD.GAP)];
}

// [layer, head] at a point of the board, null beside the maps.
export function headAt([layers, heads], size, x, y) {
  const [layer, head] = pointAt(size, x, y).map(Math.floor);
  return layer >= 0 && head >= 0 && layer < layers && head < heads ? [layer, head] : null;
}

// Photographs beside each other: the space over one (its title), under one (its colour bar), between two of a pair, and between
// photographs; the width under which they stand one under the other; what of the window's height others take; the least height.
export const PANELS = { TITLE: 22, BAR: 34, CLOSE: 4, APART: 48, STACKED: 560, OTHERS: 270, LEAST: 200 };

const NEARLY = 0.85; // as large

// mode "alike": each photograph with a bar underneath; "painted": each beside or over what was painted of it, whichever makes them
// larger. ratios: width over height of each. -> { boxes: [{ left, top, width, height }], height }, the boxes in the order of panels
export function panelsFor(mode, ratios, width, windowHeight) {
  const { TITLE, BAR, CLOSE, APART, STACKED, OTHERS, LEAST } = PANELS;
  const tallest = Math.max(LEAST, windowHeight - OTHERS) - TITLE;
  if (mode === "alike") {
    return width < STACKED ? stacked(ratios, width, tallest) : inARow(ratios, width, tallest - BAR, APART, BAR);
  }
  const gap = 4 * CLOSE;
  const beside = inARow(ratios.flatMap((ratio) => [ratio, ratio]), width, tallest, gap, 0);
  const above = inARow(ratios, width, (tallest - CLOSE) / 2, gap, 0);
  if (beside.boxes[0].height >= NEARLY * above.boxes[0].height) return beside; // it leaves space for what is chosen under it
  const step = above.boxes[0].height + CLOSE;
  return { boxes: above.boxes.flatMap((box) => [box, { ...box, top: box.top + step }]), height: above.height + step };
}

// Panels of one height, `most` at most, spread over the width unless gaps would become large.
function inARow(ratios, width, most, gap, below) {
  const { TITLE, APART } = PANELS;
  const sum = ratios.reduce((total, ratio) => total + ratio, 0);
  const between = ratios.length - 1;
  const high = Math.max(1, Math.floor(Math.min(most, (width - gap * between) / sum)));
  const widths = ratios.map((ratio) => Math.round(high * ratio));
  const free = width - widths.reduce((total, wide) => total + wide, 0);
  const apart = between ? Math.min(Math.floor(free / between), 3 * APART) : 0;
  let left = 0;
  const boxes = widths.map((wide) => {
    const box = { left, top: TITLE, width: wide, height: high };
    left += wide + apart;
    return box;
  });
  return { boxes, height: TITLE + high + below };
}

// One under the other, as large as lets all be seen at once.
function stacked(ratios, width, tallest) {
  const { TITLE, BAR } = PANELS;
  const most = Math.max(120, tallest / ratios.length - TITLE - BAR);
  let top = TITLE;
  const boxes = ratios.map((ratio) => {
    const wide = Math.floor(Math.min(width, ratio * most));
    const box = { left: 0, top, width: wide, height: Math.round(wide / ratio) };
    top += box.height + BAR + TITLE;
    return box;
  });
  return { boxes, height: top - TITLE };
}
