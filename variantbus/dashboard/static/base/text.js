// Numbers and texts for people.

const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/** Return a number of bytes as text. */
export function sizeText(size) {
  if (size < 1000) return `${size} B`;
  const [unit, word] = size < 1e6 ? [1e3, "kB"] : size < 1e9 ? [1e6, "MB"] : size < 1e12 ? [1e9, "GB"] : [1e12, "TB"];
  return `${(size / unit).toFixed(1)} ${word}`;
}

/** Return a number with three digits. */
export function numberText(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "";
  return Math.abs(number) >= 1000 ? number.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(number.toPrecision(3)));
}

/** Return a probability as text, and never as a certainty, as it is counted in a sample. */
export function percent(share) {
  if (share === null || share === undefined) return "";
  if (share < 0.005) return "<1 %";
  if (share > 0.995) return ">99 %";
  return `${Math.round(100 * share)} %`;
}

/** Return a duration as text. */
export function durationText(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.round((seconds % 86400) / 3600)} h`;
}

/** Return a text that stands in a line with others: what is written from right to left turns nothing but itself around. */
export function isolated(text) {
  return RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text;
}
