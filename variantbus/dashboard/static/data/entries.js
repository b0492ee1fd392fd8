// What people type into the form, as values: texts are taken whole, numbers and choices may stand in a line with commas.

import { isTaken, stringify, valueText, whole } from "./values.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const RANGE = /^(\S+)\s+to\s+(\S+)\s+by\s+(\S+)$/;
const PART = /\s*("(?:[^"\\]|\\.)*"|[^,"][^,]*)\s*(,|$)/y; // of a line with commas
const WORD = /\s*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+)/y; // of a command line
const MOST = 1000; // values of a range in a list
const EMPTY = '""'; // how the empty text is typed, as an empty field is none

/** Return the value that a text stands for, by what its setting takes; throws an Error with a sentence. */
export function valueOf(text, knob) {
  const trimmed = text.trim();
  const kind = knob?.kind ?? "any";
  if (kind === "str") return trimmed === EMPTY ? "" : text;
  if (kind === "list") return trimmed.startsWith("[") ? fromJson(trimmed, '["one", "two"]') : wordsOf(text);
  if (kind === "map") return fromJson(trimmed, '{"name": 1}');
  const value = literal(trimmed);
  if (kind === "bool" && typeof value !== "boolean") throw new Error(`${shown(text)} is neither true nor false`);
  if (["int", "float"].includes(kind) && !isNumber(value)) throw new Error(`${shown(text)} is no number`);
  return value;
}

/** Return the values of what was typed or pasted into a list of values; throws an Error with a sentence. */
export function itemsOf(text, knob) {
  return text.split(/\r?\n/).filter((line) => line.trim()).flatMap((line) => itemsOfLine(knob?.kind === "str" ? line.trim() : line, knob));
}

function itemsOfLine(line, knob) {
  const kind = knob?.kind ?? "any";
  if (knob?.choices?.length) return isChoice(line.trim(), knob) ? [chosen(line.trim(), knob)] : partsOf(line).map((part) => chosen(part, knob));
  if (kind === "str") return [valueOf(line, knob)];
  const parts = partsOf(line);
  if (kind === "any") return parts.every(isPlain) ? parts.map(literal) : [line.trim()];
  return parts.map((part) => valueOf(part, knob));
}

function isChoice(text, knob) {
  return [...knob.choices, ...(knob.also ?? [])].map(String).includes(text);
}

function chosen(text, knob) {
  return knob.choices.find((one) => String(one) === text) ?? valueOf(text, knob);
}

/** Return the parts between commas; none is empty. */
function partsOf(line) {
  const parts = [];
  PART.lastIndex = 0;
  while (PART.lastIndex < line.length) {
    const found = PART.exec(line);
    if (!found) return line.split(",").map((part) => part.trim()).filter(Boolean);
    parts.push(found[1].trim());
  }
  return parts.filter(Boolean);
}

/** Return whether a part is a number, true, false, or a text in quotes, which nobody means as a part of a longer text. */
function isPlain(part) {
  return typeof literal(part) !== "string" || part.startsWith('"');
}

/** Read a number, true, false, or a text, which may be in quotes. */
function literal(text) {
  if (text === "true" || text === "false") return text === "true";
  if (NUMBER.test(text)) return number(text);
  if (!/^".*"$/s.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function number(text) {
  const read = whole(text);
  if (!isTaken(read)) throw new Error(`${shown(text)} is too large`);
  return read;
}

/** Return `{ start, stop, step }` of a text such as `1 to 5 by 0.5`, null of any other. */
export function rangeOf(text) {
  const found = text.trim().match(RANGE);
  return found && found.slice(1).every((part) => NUMBER.test(part)) ? { start: numeric(found[1]), stop: numeric(found[2]), step: numeric(found[3]) } : null;
}

/** Return a number as JSON has it if that has the digits that were typed, else the text, which is exact as well. */
export function numeric(text) {
  const number = whole(text.trim());
  return isTaken(number) && String(number) === text.trim() ? number : text.trim();
}

/** Return what a range stands for: `{ count, text }`, such as "3, 4.5, 6 … 15"; throws an Error with a sentence. */
export function rangeText(range) {
  const { count, at } = expanded(range);
  const listed = (most) => Array.from({ length: Math.min(count, most) }, (_, index) => at(index)).join(", ");
  return { count, text: count > 4 ? `${listed(3)} … ${at(count - 1)}` : listed(4) };
}

/** Return the numbers of a range; throws an Error with a sentence. */
export function rangeValues(range) {
  const { count, at } = expanded(range);
  if (count > MOST) throw new Error(`these are ${count} values; take fewer`);
  return Array.from({ length: count }, (_, index) => whole(at(index)));
}

function expanded({ start, stop, step }) {
  const [from, to, by] = scaled([["from", start], ["to", stop], ["step", step]]);
  if (by.number === 0n) throw new Error("a step of 0 never gets there");
  const span = to.number - from.number;
  if (span * by.number < 0n) throw new Error("the step leads away from the end; change its sign");
  return { count: Number(span / by.number) + 1, at: (index) => decimalText(from.number + by.number * BigInt(index), from.scale) };
}

/** Return numbers as whole ones of a common scale, so that nothing is rounded. */
function scaled(named) {
  const found = named.map(([name, value]) => {
    const text = String(value ?? "").trim();
    if (!NUMBER.test(text)) throw new Error(text ? `${shown(text)} is no number` : `"${name}" is missing`);
    const [digits, exponent = "0"] = text.toLowerCase().split("e");
    if (Math.abs(Number(exponent)) > 30) throw new Error(`${shown(text)} is no usable number`);
    const [front, behind = ""] = digits.split(".");
    return { digits: `${front}${behind}`, scale: behind.length - Number(exponent) };
  });
  const scale = Math.max(0, ...found.map((one) => one.scale));
  return found.map((one) => ({ number: BigInt(one.digits.replace(/^\+/, "")) * 10n ** BigInt(scale - one.scale), scale }));
}

function decimalText(number, scale) {
  const digits = String(number < 0n ? -number : number).padStart(scale + 1, "0");
  const [front, behind] = [digits.slice(0, digits.length - scale), digits.slice(digits.length - scale).replace(/0+$/, "")];
  return `${number < 0n ? "-" : ""}${front}${behind && `.${behind}`}`;
}

/** Return a value as the text that stands for it in a field. */
export function textOf(value, knob) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.every((part) => typeof part === "string") ? lineOf(value) : stringify(value);
  if (typeof value === "object") return stringify(value);
  if (knob?.kind === "str" && typeof value === "string") return value === "" ? EMPTY : value;
  return valueText(value);
}

/** Return the words of a command line: quotes hold a word together, and nothing else has a meaning. */
export function wordsOf(text) {
  const words = [];
  WORD.lastIndex = 0;
  let end = 0;
  for (let found = WORD.exec(text); found; found = WORD.exec(text)) {
    words.push(found[1].replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs, (_, single, double, escaped) => single ?? double?.replace(/\\(["\\])/g, "$1") ?? escaped));
    end = WORD.lastIndex;
  }
  if (text.slice(end).trim()) throw new Error(`${shown(text.slice(end).trim())}: a quote is not closed`);
  return words;
}

function lineOf(words) {
  return words.map((word) => (/^[^\s'"\\[\]]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

function fromJson(text, example) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`this is not JSON; write it like ${example}`);
  }
}

function isNumber(value) {
  return typeof value === "number" || typeof value === "bigint";
}

function shown(text) {
  return text.trim().length > 60 ? `${text.trim().slice(0, 60)}…` : text.trim();
}
