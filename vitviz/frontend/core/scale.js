// From values to places on a colour scale, by the rules of vitviz/draw/scale.py, and what can be said about one value among others.

// Values closer together than this, relative to their size, are one value with float32 noise on it, and painted as one.
export const FLAT = 1e-5;

const ROBUST = 0.99;

// The q-th quantile (0..1) of a typed array by linear interpolation, as numpy.percentile does it. Only what lies at or above
// it is kept in order: for the 99th percentile that is a hundred times less to sort.
export function quantile(values, q) {
  const place = q * (values.length - 1);
  const below = Math.floor(place);
  const top = new Float32Array(values.length - below).fill(-Infinity); // ascending
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value <= top[0]) continue;
    let j = 0;
    for (; j + 1 < top.length && top[j + 1] < value; j++) top[j] = top[j + 1];
    top[j] = value;
  }
  const above = top.length > 1 ? top[1] : top[0];
  const [step, share] = [above - top[0], place - below];
  return share < 0.5 ? top[0] + step * share : above - step * (1 - share);
}

// { low, high, signed } of one map of patches: Scale.of(patches, robust, signed, low=0). Weights start at 0; a signed scale is
// symmetric around it. `robust` takes the 99th percentile (of magnitudes, where signed) for the far end, unless that leaves no
// range, as for a map with a single non-zero patch.
export function extent(patches, robust, signed) {
  const sizes = signed ? patches.map(Math.abs) : patches;
  let high = 0;
  for (let i = 0; i < sizes.length; i++) if (sizes[i] > high) high = sizes[i];
  const percentile = robust ? quantile(sizes, ROBUST) : 0;
  if (percentile > 0) high = percentile;
  return { low: signed ? -high : 0, high, signed };
}

// From the smallest to the largest value, without the one at index `own`.
export function extentWithout(values, own) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (i === own) continue;
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  return { low, high, signed: false };
}

// How far apart equal values may lie on a scale.
function rounding({ low, high, noise = 0 }) {
  return Math.max(FLAT * Math.max(Math.abs(low), Math.abs(high)), noise);
}

// Whether every value is the same but for rounding.
export function isFlat(extent) {
  return extent.high - extent.low <= rounding(extent);
}

// -> shade(value): which of the 256 colours of a scale, as `levels` of vitviz/draw/scale.py has it, in float32 as there. What
// lies beyond its ends takes the last colour; on a flat scale every value takes the middle one.
export function shader(extent) {
  const { low, high } = extent;
  if (isFlat(extent)) {
    const margin = rounding(extent);
    return (value) => (value > high + margin ? 255 : value < low - margin ? 0 : 128);
  }
  const [first, span] = [Math.fround(low), Math.fround(high - low)];
  return (value) => {
    const place = Math.fround(Math.fround(value - first) / span);
    return Math.floor(Math.fround(Math.fround(Math.min(1, Math.max(0, place)) * 255) + 0.5));
  };
}

// How many entries a scale cannot show; they are painted in its last colour and the colour bar says so.
export function countBeyond(patches, { low, high }) {
  const [first, last] = [Math.fround(low), Math.fround(high)];
  let count = 0;
  for (const value of patches) if (value > last || value < first) count++;
  return count;
}

// 1 for the largest; equal values share a rank.
export function rankOf(values, index) {
  let rank = 1;
  for (const value of values) if (value > values[index]) rank++;
  return rank;
}

// Indices of the `count` largest values, largest first.
export function strongest(values, count) {
  const top = [];
  for (let i = 0; i < values.length; i++) {
    if (top.length === count && values[i] <= values[top[count - 1]]) continue;
    let place = top.length;
    while (place > 0 && values[top[place - 1]] < values[i]) place--;
    top.splice(place, 0, i);
    if (top.length > count) top.pop();
  }
  return top;
}

// A value as people read it: a few significant digits, no exponent where it can be avoided.
export function number(value, digits = 3) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (!Number.isFinite(size) || size < 1e-6 || size >= 1e6) return value.toExponential(1);
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(decimals, 8));
}
