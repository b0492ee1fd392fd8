// Values as data: whole numbers of 64 bits, and labels that cannot be taken for another value.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = "\u0000whole:"; // before a number in a text; no text of ours has a NUL

/** Read JSON; a whole number that a float cannot hold, such as a large seed, becomes a BigInt. */
export function parse(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKEN, (token) => (/^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? JSON.stringify(MARK + token) : token));
  return JSON.parse(marked, (_, value) => (typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value));
}

/** Write JSON, with all digits of a BigInt. */
export function stringify(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${MARK}${part}` : part));
  return text.replace(/"\\u0000whole:(-?\d+)"/g, "$1");
}

/** Return a value of a variant as text; a map of a grid as `name value, name value`. */
export function valueText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return Object.entries(value).map(([name, part]) => `${name} ${valueText(part)}`).join(", ");
  return typeof value === "string" && isMisread(value) ? JSON.stringify(value) : String(value);
}

/** Return a key under which only equal values are equal: 1, true and "1" are three. */
export function valueKey(value) {
  return stringify(value !== null && typeof value === "object" ? Object.entries(value).sort() : value);
}

/** Return what a value of a variable sets, where it is the name of several settings; null if it says so itself. */
export function settingsText(definition, name, value) {
  const knob = (definition?.variables ?? [definition?.variable]).find((one) => one?.name === name);
  const settings = knob?.settings?.[valueText(value)];
  return settings ? Object.entries(settings).map(([key, part]) => `${key} ${partText(part)}`).join(", ") : null;
}

/** Return the seed of a repeat, or its number where each picture has its own seed; blocks of one come one after another. */
export function seedText(definition, repeat) {
  const place = Math.floor(repeat / blocksOf(definition));
  if (definition?.paired === false) return String(place + 1);
  return String(definition?.seeds?.[place] ?? BigInt(definition?.seed ?? 0) + BigInt(place));
}

/** Return how many blocks there are; without any, 1. */
export function blocksOf(definition) {
  return definition?.blocks?.length || 1;
}

/** Return the name of the block of a repeat, else its settings, of prompts the prompt itself; "" where there is but one. */
export function blockText(definition, repeat) {
  const blocks = definition?.blocks ?? [];
  if (blocks.length < 2) return "";
  const { name, config = {} } = blocks[repeat % blocks.length];
  const isAlone = conditionWord(definition) !== "block";
  const texts = Object.entries(config).map(([key, value]) => (isAlone ? partText(value) : `${key} ${partText(value)}`));
  return name || texts.join(", ") || "as configured";
}

/** Return what tells the pictures of a value apart: the only setting in which blocks differ, `block`, or else `seed`. */
export function conditionWord(definition) {
  const blocks = definition?.blocks ?? [];
  if (blocks.length < 2) return seedWord(definition);
  const keys = new Set(blocks.flatMap((one) => Object.keys(one.config ?? {})));
  return keys.size === 1 ? [...keys][0] : "block";
}

/** Return under which block and seed a picture was made, for people. */
export function conditionText(definition, repeat) {
  const block = blockText(definition, repeat);
  return `${block && `${block}, `}${seedWord(definition)} ${seedText(definition, repeat)}`;
}

function seedWord(definition) {
  return definition?.paired === false ? "picture" : "seed";
}

/** Return a part of a value, or a setting, as text; a list or a map as JSON. */
export function partText(value) {
  return value !== null && typeof value === "object" ? stringify(value) : valueText(value);
}

/** Read a whole number that a person typed. */
export function whole(text) {
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : Number(text);
}

/** Return whether a service takes a number: whole ones have 64 bits. */
export function isTaken(number) {
  return typeof number === "bigint" ? number >= -(2n ** 63n) && number < 2n ** 64n : Number.isFinite(number);
}

function isMisread(text) {
  return text.trim() !== text || text === "" || text.startsWith('"') || text === "true" || text === "false" || /^[+-]?(inf|infinity|nan)$/i.test(text) || !Number.isNaN(Number(text));
}
