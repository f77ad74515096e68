// From values to places on a colour scale, and what can be said about one value among the others.

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
  return top[0] + (above - top[0]) * (place - below);
}

// { low, high, signed } of one map of patches. Weights start at 0; a signed scale is symmetric around it. `robust` takes the
// 99th percentile for the top.
export function extent(patches, robust, signed) {
  let low = 0;
  let high = 0;
  for (let i = 0; i < patches.length; i++) {
    if (patches[i] < low) low = patches[i];
    else if (patches[i] > high) high = patches[i];
  }
  if (signed) {
    const sizes = patches.map(Math.abs);
    high = robust ? quantile(sizes, 0.99) : Math.max(high, -low);
    return { low: -high, high, signed: true };
  }
  // A map in which fewer than one patch in a hundred is above zero has a 99th percentile of zero and nothing to show.
  if (robust) high = quantile(patches, 0.99) || high;
  return { low: 0, high, signed: false };
}

// How many entries a scale cannot show; they are painted in its last colour and the colour bar says so.
export function countBeyond(patches, { low, high }) {
  let count = 0;
  for (const value of patches) if (value > high || value < low) count++;
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
