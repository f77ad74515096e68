// Colour scales: from a value to its colour, by the rules of vitviz/draw/scale.py. It also has ranks, largest values and
// the formatting of numbers.

// Values that differ by less than this fraction of their size differ by float32 rounding only, and get one colour.
export const FLAT = 1e-5;

const ROBUST = 0.99;

// The q-th quantile (0..1) of a typed array with linear interpolation, as in numpy.percentile. Only the values at or above it are
// kept sorted, which for the 99th percentile are a hundredth of all.
export function quantile(values, q) {
  const place = q * (values.length - 1);
  const below = Math.floor(place);
  const top = new Float32Array(values.length - below).fill(-Infinity); // in ascending order
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

// The scale { low, high, signed } of one map of patches, as Scale.of(patches, robust, signed, low=0) in Python. A scale of weights
// starts at 0; a signed scale is symmetric around it. `robust` ends the scale at the 99th percentile (of magnitudes, if signed),
// unless its range would be empty, as for a map with a single non-zero patch.
export function extent(patches, robust, signed) {
  const sizes = signed ? patches.map(Math.abs) : patches;
  let high = 0;
  for (let i = 0; i < sizes.length; i++) if (sizes[i] > high) high = sizes[i];
  const percentile = robust ? quantile(sizes, ROBUST) : 0;
  if (percentile > 0) high = percentile;
  return { low: signed ? -high : 0, high, signed };
}

// The smallest and the largest value, without NaN and without the value at index `own`.
export function extentWithout(values, own) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (i === own || Number.isNaN(values[i])) continue;
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  return { low, high, signed: false };
}

// -> the difference below which values count as equal on a scale
function rounding({ low, high, noise = 0 }) {
  return Math.max(FLAT * Math.max(Math.abs(low), Math.abs(high)), noise);
}

// -> whether all values are equal up to rounding
export function isFlat(extent) {
  return extent.high - extent.low <= rounding(extent);
}

// -> shade(value): the index of the value's colour among the 256 of a scale, computed in float32 as by `levels` of
// vitviz/draw/scale.py. Values beyond the ends have the first or last colour; on a flat scale every value has the middle one.
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

// -> the number of values beyond the ends of a scale, which the colour bar reports
export function countBeyond(patches, { low, high }) {
  const [first, last] = [Math.fround(low), Math.fround(high)];
  let count = 0;
  for (const value of patches) if (value > last || value < first) count++;
  return count;
}

// -> the rank of a value, 1 for the largest; equal values have the same rank
export function rankOf(values, index) {
  let rank = 1;
  for (const value of values) if (value > values[index]) rank++;
  return rank;
}

// -> indices of the `count` largest values, in descending order
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

// Formats a value with a few significant digits, with an exponent only for very small and very large values.
export function number(value, digits = 3) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (!Number.isFinite(size) || size < 1e-6 || size >= 1e6) return value.toExponential(1);
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(decimals, 8));
}

// The colours: 256 for values of one sign, and 256 centred on zero for signed values. They equal those of vitviz.draw.scale.table
// for the light theme: `python scripts/write_palette.py` writes them, and a test compares them.

// BEGIN written by scripts/write_palette.py
const SEQUENTIAL =
  "00000300000400000601000701010901010b02010e02021003021204031404031605041806041b07051d08061f0906210a07230b07260d08280e082a" +
  "0f092d10092f120a32130a34140b36160b39170b3b190b3e1a0b401c0c431d0c451f0c47200c4a220b4c240b4e260b50270b52290b542b0a562d0a58" +
  "2e0a5a300a5c32095d34095f3509603709613909623b09643c09653e0966400966410967430a68450a69460a69480b6a4a0b6a4b0c6b4d0c6b4f0d6c" +
  "500d6c520e6c530e6d550f6d570f6d58106d5a116d5b116e5d126e5f126e60136e62146e63146e65156e66156e68166e6a176e6b176e6d186e6e186e" +
  "70196e72196d731a6d751b6d761b6d781c6d7a1c6d7b1d6c7d1d6c7e1e6c801f6b811f6b83206b85206a86216a88216a8922698b22698d23698e2468" +
  "9024689125679325679526669626669827659928649b28649c29639e2963a02a62a12b61a32b61a42c60a62c5fa72d5fa92e5eab2e5dac2f5cae305b" +
  "af315bb1315ab23259b43358b53357b73456b83556ba3655bb3754bd3753be3852bf3951c13a50c23b4fc43c4ec53d4dc73e4cc83e4bc93f4acb4049" +
  "cc4148cd4247cf4446d04544d14643d24742d44841d54940d64a3fd74b3ed94d3dda4e3bdb4f3adc5039dd5238de5337df5436e05634e25733e35832" +
  "e45a31e55b30e65c2ee65e2de75f2ce8612be9622aea6428eb6527ec6726ed6825ed6a23ee6c22ef6d21f06f1ff0701ef1721df2741cf2751af37719" +
  "f37918f47a16f57c15f57e14f68012f68111f78310f7850ef8870df8880cf88a0bf98c09f98e08f99008fa9107fa9306fa9506fa9706fb9906fb9b06" +
  "fb9d06fb9e07fba007fba208fba40afba60bfba80dfbaa0efbac10fbae12fbb014fbb116fbb318fbb51afbb71cfbb91efabb21fabd23fabf25fac128" +
  "f9c32af9c52cf9c72ff8c931f8cb34f8cd37f7cf3af7d13cf6d33ff6d542f5d745f5d948f4db4bf4dc4ff3de52f3e056f3e259f2e45df2e660f1e864" +
  "f1e968f1eb6cf1ed70f1ee74f1f079f1f27df2f381f2f485f3f689f4f78df5f891f6fa95f7fb99f9fc9dfafda0fcfea4";
const SIGNED =
  "05306106326307346608366909386c0a3a6f0b3c720c3e750d40780e437b0f457e114781124984134b87144d8a154f8d165190175493185695195898" +
  "1a5a9b1c5c9e1d5ea11e60a41f62a72064aa2166ac2368ad246aae256caf276db0286fb02971b12b73b22c75b32d76b42f78b5307ab6317cb7337db8" +
  "347fb93581b93783ba3884bb3986bc3b88bd3c8abe3d8bbf3f8dc0408fc14191c24393c34694c44996c54c98c64f9ac7529cc8559ec958a0ca5ba2cb" +
  "5ea4cc61a6cd65a8ce68aacf6bacd06eaed171b0d274b2d377b4d57ab6d67db8d780bad884bcd987beda8ac0db8dc2dc90c4dd93c5de95c6df98c8df" +
  "9ac9e09dcae19fcbe1a2cde2a4cee3a7cfe4a9d0e4abd2e5aed3e6b0d4e6b3d5e7b5d7e8b8d8e8bad9e9bddaeabfdcebc2ddebc4deecc7dfedc9e1ed" +
  "cce2eecee3efd1e5f0d2e5f0d3e6f0d5e7f0d6e7f1d8e8f1d9e9f1dbe9f1dceaf2deebf2dfecf2e1ecf3e2edf3e4eef3e5eef3e7eff4e8f0f4eaf1f4" +
  "ebf1f4edf2f5eef3f5f0f3f5f1f4f6f3f5f6f4f5f6f6f6f6f7f6f6f7f5f4f7f4f2f7f3f0f8f2eef8f0ecf8efeaf8eee8f9ede7f9ece5f9ebe3f9eae1" +
  "f9e9dffae8ddfae7dbfae5d9fae4d7fbe3d6fbe2d4fbe1d2fbe0d0fcdfcefcdeccfcddcafcdcc8fddbc7fcd8c4fcd6c1fbd4befbd2bcfbd0b9faceb6" +
  "faccb4facab1f9c7aef9c5abf9c3a9f8c1a6f8bfa3f8bda1f7bb9ef7b99bf7b799f6b496f6b293f5b090f5ae8ef5ac8bf4aa88f4a886f4a683f3a380" +
  "f2a07ef19e7cef9b7aee9878ed9676ec9374eb9072ea8e70e88b6ee7886ce6856ae58368e48065e27d63e17b61e0785fdf755dde725bdd7059db6d57" +
  "da6a55d96853d86551d7624fd6604dd45d4bd35a4ad15749d05447ce5146cd4f45cc4c43ca4942c94641c7433fc6403ec53e3cc33b3bc2383ac03538" +
  "bf3237be3036bc2d34bb2a33b92732b82431b6212fb51f2eb41c2db2192bb0172aad162aaa1529a71429a41328a112289e11279b1027991027960f26" +
  "930e26900d258d0c258a0b24870a248409238108237e07227b06227805217504217203206f02206c011f69001f67001f";
// END

// 256 times "rrggbb" -> Uint32Array of opaque pixels, in the byte order of an ImageData
function table(hex) {
  const bytes = new Uint8Array(1024).fill(255);
  for (let i = 0; i < 768; i++) bytes[Math.floor(i / 3) * 4 + (i % 3)] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return new Uint32Array(bytes.buffer);
}

const TABLES = { sequential: table(SEQUENTIAL), signed: table(SIGNED) };

// -> the 256 pixels of a scale, in the order of the indices of `shader`
export function coloursOf(extent) {
  return extent.signed ? TABLES.signed : TABLES.sequential;
}

// -> the colour of a value, as a CSS colour
export function colourOf(value, extent) {
  const [r, g, b] = rgb(value, extent);
  return `rgb(${r}, ${g}, ${b})`;
}

// -> black or white, whichever has more contrast with the colour of that value
export function inkOn(value, extent) {
  return inkOver([...rgb(value, extent)].slice(0, 3));
}

// The same for bytes of red, green and blue. Black and white have equal contrast at a relative luminance of 0.179 (WCAG 2).
export function inkOver(bytes) {
  const linear = bytes.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000" : "#fff";
}

function rgb(value, extent) {
  const pixel = coloursOf(extent)[shader(extent)(value)];
  return new Uint8Array(Uint32Array.of(pixel).buffer);
}
