// Token layouts, which say which token is which patch, and the sizes of grids, maps and boards in CSS pixels. As in
// vitviz/tokens.py, the prefix tokens come first and the patches follow row by row.

// layout: { prefix: ["cls", ...], grid: [rows, cols] } -> index of a patch's token
export function tokenAt(layout, row, col) {
  return layout.prefix.length + row * layout.grid[1] + col;
}

// -> [row, col] of a token, or null for a prefix token
export function cellOf(layout, token) {
  const patch = token - layout.prefix.length;
  return patch < 0 ? null : cellAt(patch, layout.grid[1]);
}

// -> the token's name: "cls", "reg0" or "r3c5"
export function nameOf(layout, token) {
  const cell = cellOf(layout, token);
  return cell ? patchName(cell) : layout.prefix[token];
}

// The inverse of nameOf. -> -1 for a name that this layout does not have (it may be that of another image or model)
export function tokenNamed(layout, name) {
  if (typeof name !== "string") return -1;
  const prefix = layout.prefix.indexOf(name);
  if (prefix >= 0) return prefix;
  const cell = patchNamed(name);
  if (!cell) return -1;
  const [row, col] = cell;
  return row < layout.grid[0] && col < layout.grid[1] ? tokenAt(layout, row, col) : -1;
}

// The token one step away from a token, for the arrow keys. At the edge of the grid it stays, except that a step up from the first
// row leads to the prefix tokens; left and right move along these, and down returns to the patches.
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

// The token at the same place in another layout: a prefix token by its name, a patch by the position of its centre.
// -> -1 if the other layout has no such prefix token
export function tokenAtSamePlace(from, token, to) {
  const cell = cellOf(from, token);
  if (!cell) return to.prefix.indexOf(from.prefix[token]);
  const [row, col] = cell.map((index, axis) => Math.floor(((index + 0.5) / from.grid[axis]) * to.grid[axis]));
  return tokenAt(to, row, col);
}

// A patch's name without a layout: [row, col] <-> "r3c5". Names of prefix tokens give null.
export function patchName([row, col]) {
  return `r${row}c${col}`;
}

export function patchNamed(name) {
  const found = /^r(\d{1,4})c(\d{1,4})$/.exec(name || "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}

// -> [rows, cols] of a picture's description from Python
export function gridOf({ rows, cols }) {
  return [rows, cols];
}

// -> [row, col] of the cell with that index, counted row by row
export function cellAt(index, cols) {
  return [Math.floor(index / cols), index % cols];
}

// -> the cell in the middle of a grid
export function middleOf([rows, cols]) {
  return [Math.floor(rows / 2), Math.floor(cols / 2)];
}

// The cell that is `by` [rows, columns] away, clamped to the grid.
export function neighbour([row, col], by, [rows, cols]) {
  return [clamp(row + by[0], rows), clamp(col + by[1], cols)];
}

function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}

// A position that is independent of the grid, as fractions of height and width: from a cell to its centre, and back to the cell
// that contains it. null gives null.
export function placeOf(cell, [rows, cols]) {
  return cell && [(cell[0] + 0.5) / rows, (cell[1] + 0.5) / cols];
}

export function cellAtPlace(place, [rows, cols]) {
  return place && [Math.min(Math.floor(place[0] * rows), rows - 1), Math.min(Math.floor(place[1] * cols), cols - 1)];
}

const COLUMN_GAP = 16;
const PICTURE_SHARE = 0.56; // of the width, if the maps are beside the picture
const AROUND_PICTURE = 290; // CSS pixels of the page above the picture and, as far as the lead, below it
const TWO_COLUMNS = 560; // CSS pixels of width from which the maps are beside the picture
const ONE_LINE = 660; // from which the readout fits on one line
const THREE_LINES = 470; // below which the readout may take three lines

// The arrangement of the microscope. source: the layout that the picture shows.
// -> { wide, roomy, narrow } for the style sheet, the picture's [width, height], and the width that remains for the maps
export function arrangementFor(source, width, windowHeight) {
  const wide = width >= TWO_COLUMNS;
  const aspect = aspectOf(source);
  // The height is limited so that picture, colour bar and readout fit in the window without scrolling.
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

// -> the largest height of a picture in a window of that height
export function tallestFor(windowHeight) {
  return Math.max(300, windowHeight - AROUND_PICTURE);
}

// -> height / width of the area that a grid of patches covers
export function aspectOf({ grid, patch_size: patch }) {
  return (grid[0] * patch[0]) / (grid[1] * patch[1]);
}

// A board's gap between maps, its margin left of them and its header above them. A map is never narrower than NARROWEST; the board
// scrolls instead. With the gap, targets are then 24 apart, the minimum of WCAG 2.2 (2.5.8).
export const BOARD = { GAP: 3, MARGIN: 26, HEADER: 18, NARROWEST: 21 };

// The sizes of a board in CSS pixels: { wide, high } of a map, { width, height } of the whole, and the space for numbers: `margin`
// and `header` for those of rows and columns, or `above` each map if the maps are one sequence `wrapped` into rows. It is as large
// as the width `available` and the height `tallest` allow, but no map is narrower than NARROWEST.
export function boardSize([layers, heads, rows, cols], available, tallest, wrapped = false) {
  const { GAP, MARGIN, HEADER, NARROWEST } = BOARD;
  const [margin, header, above] = wrapped ? [GAP, 0, HEADER] : [MARGIN, HEADER, 0];
  const across = (available - margin) / heads - GAP;
  const down = (((tallest + HEADER - header) / layers - GAP - above) * cols) / rows; // so that the whole board is visible
  const wide = Math.max(NARROWEST, Math.floor(Math.min(across, down)));
  const high = Math.max(1, Math.round((wide * rows) / cols));
  return { wide, high, margin, header, above, width: margin + heads * (wide + GAP), height: header + layers * (high + GAP + above) };
}

// -> the box of a map: [x, y, width, height]
export function mapBox({ wide, high, margin, header, above }, layer, head) {
  return [margin + head * (wide + BOARD.GAP), header + above + layer * (high + BOARD.GAP + above), wide, high];
}

// -> [layer, head] as fractions of a map; the gap after a map and the number above it belong to the map
export function pointAt({ wide, high, margin, header, above }, x, y) {
  return [(y - header) / (high + BOARD.GAP + above), (x - margin) / (wide + BOARD.GAP)];
}

// -> [layer, head] at a point of the board, or null outside the maps
export function headAt([layers, heads], size, x, y) {
  const [layer, head] = pointAt(size, x, y).map(Math.floor);
  return layer >= 0 && head >= 0 && layer < layers && head < heads ? [layer, head] : null;
}

// Sizes of panels of photographs in CSS pixels: the title above, the colour bar below, the gap within a pair and between
// photographs; the width below which they are stacked; the window height that the rest of the page takes; and the smallest height.
export const PANELS = { TITLE: 22, BAR: 34, CLOSE: 4, APART: 48, STACKED: 560, OTHERS: 270, LEAST: 200 };

const NEARLY = 0.85; // of the height of the other arrangement

// mode "alike": photographs in a row, each with a colour bar below. "painted": each photograph beside or above the picture computed
// in Python from its patches, whichever arrangement is larger. ratios: width / height of each panel.
// -> { boxes: [{ left, top, width, height }], height }, boxes in the order of the panels
export function panelsFor(mode, ratios, width, windowHeight) {
  const { TITLE, BAR, CLOSE, APART, STACKED, OTHERS, LEAST } = PANELS;
  const tallest = Math.max(LEAST, windowHeight - OTHERS) - TITLE;
  if (mode === "alike") {
    return width < STACKED ? stacked(ratios, width, tallest) : inARow(ratios, width, tallest - BAR, APART, BAR);
  }
  const gap = 4 * CLOSE;
  const beside = inARow(ratios.flatMap((ratio) => [ratio, ratio]), width, tallest, gap, 0);
  const above = inARow(ratios, width, (tallest - CLOSE) / 2, gap, 0);
  if (beside.boxes[0].height >= NEARLY * above.boxes[0].height) return beside; // preferred, as it leaves space below for the controls
  const step = above.boxes[0].height + CLOSE;
  return { boxes: above.boxes.flatMap((box) => [box, { ...box, top: box.top + step }]), height: above.height + step };
}

// Panels of one height, at most `most`, spread over the width unless the gaps would become too large.
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

// Panels one below the other, as large as they can be if all are to be visible at once.
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
