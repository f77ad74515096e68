// Which token is which patch, as in vitviz/tokens.py: prefix tokens first, then the patches row by row.

// layout: { prefix: ["cls", ...], grid: [rows, cols] }
export function countTokens(layout) {
  return layout.prefix.length + layout.grid[0] * layout.grid[1];
}

export function tokenAt(layout, row, col) {
  return layout.prefix.length + row * layout.grid[1] + col;
}

// [row, col] of a token, or null for a prefix token.
export function cellOf(layout, token) {
  const patch = token - layout.prefix.length;
  if (patch < 0) return null;
  return [Math.floor(patch / layout.grid[1]), patch % layout.grid[1]];
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
export function sameplace(from, token, to) {
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
  const found = /^r(\d{1,5})c(\d{1,5})$/.exec(name || "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}

export function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}
