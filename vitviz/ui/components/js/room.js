// How much room there is, and who gets how much of it. All lengths are CSS pixels.

const GAP = 16;
const TWO_COLUMNS = 560; // width from which the maps stand beside the picture
const ONE_LINE = 820; // from which what is read fits on one line
const THREE_LINES = 470; // under which it may take three

// source: the layout that the picture shows. -> { wide, roomy, narrow } for the style sheet, the picture's [width, height], and
// the width that is left for the maps.
export function roomFor(source, width, windowHeight) {
  const wide = width >= TWO_COLUMNS;
  const aspect = aspectOf(source);
  // Controls, words, picture and colour bar together fit on a projector of 768 lines; a larger screen has room for more.
  const tallest = Math.min(620, Math.max(300, windowHeight * 0.42));
  const pictureWidth = Math.floor(Math.min(wide ? (width - GAP) * 0.5 : width, (wide ? tallest : tallest * 1.4) / aspect));
  return {
    wide,
    roomy: width >= ONE_LINE,
    narrow: width < THREE_LINES,
    picture: [pictureWidth, Math.round(pictureWidth * aspect)],
    beside: wide ? width - pictureWidth - GAP : width,
  };
}

// Height over width of the area a grid of patches covers.
export function aspectOf({ grid, patch_size: patch }) {
  return (grid[0] * patch[0]) / (grid[1] * patch[1]);
}

// A board's space between maps, left of them and above them. Below NARROWEST it is scrolled in place of squeezed: with the space,
// targets are 24 apart, the least that WCAG 2.2 (2.5.8) asks for.
export const BOARD = { GAP: 3, MARGIN: 26, HEADER: 18, NARROWEST: 21 };

// The sizes of a board in CSS pixels: { wide, high } of a map, { width, height } of all. It is as large as `room` (its width) and
// `tallest` (its height) allow, and no map is narrower than NARROWEST.
export function boardSize([layers, heads, rows, cols], room, tallest) {
  const { GAP, MARGIN, HEADER, NARROWEST } = BOARD;
  const across = (room - MARGIN) / heads - GAP;
  const down = ((tallest / layers - GAP) * cols) / rows; // the whole board is to be seen at once
  const wide = Math.max(NARROWEST, Math.floor(Math.min(across, down)));
  const high = Math.max(1, Math.round((wide * rows) / cols));
  return { wide, high, width: MARGIN + heads * (wide + GAP), height: HEADER + layers * (high + GAP) };
}

// [layer, head] at a point of the board, null beside the maps.
export function headAt([layers, heads], { wide, high }, x, y) {
  const { GAP, MARGIN, HEADER } = BOARD;
  const layer = Math.floor((y - HEADER) / (high + GAP));
  const head = Math.floor((x - MARGIN) / (wide + GAP));
  return layer >= 0 && head >= 0 && layer < layers && head < heads ? [layer, head] : null;
}
