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
