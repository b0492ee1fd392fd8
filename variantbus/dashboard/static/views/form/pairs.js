// Settings in a line, `steps = 4, sampler_name = euler`: those of a preset, and the conditions of combinations to leave out.

import { parse, stringify } from "../../data/values.js";

const KEY = /\s*([^\s=,][^=,]*?)\s*=\s*/y;
const QUOTED = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** Read a line as a map; throws an Error with a sentence. A text with a comma is written in quotes, lists and maps as JSON. */
function pairsOf(line) {
  const found = {};
  for (let at = 0; line.slice(at).trim(); ) {
    KEY.lastIndex = at;
    const key = KEY.exec(line);
    if (!key) throw new Error(`${line.slice(at).trim().slice(0, 60)}: write it as name = value`);
    const end = endOf(line, KEY.lastIndex);
    found[key[1]] = read(line.slice(KEY.lastIndex, end).trim(), key[1]);
    at = end + 1;
  }
  return found;
}

/** Write a map as a line; null if no line stands for it. */
function pairsText(map) {
  const text = Object.entries(map).map(([key, value]) => `${key} = ${written(value)}`).join(", ");
  try {
    return stringify(pairsOf(text)) === stringify(map) ? text : null;
  } catch {
    return null;
  }
}

/** Read named maps, one a line: `fast: steps = 4`. */
export function presetsOf(text) {
  const named = lines(text).map((line) => {
    const found = line.match(/^\s*("(?:[^"\\]|\\.)*"|[^:="]+?)\s*:\s*(.*)$/s);
    if (!found) throw new Error(`${line.trim().slice(0, 60)}: write it as name: setting = value`);
    return [read(found[1], "name"), pairsOf(found[2])];
  });
  return { values: named.map(([name]) => name), settings: Object.fromEntries(named.map(([name, map]) => [String(name), map])) };
}

/** Write presets, one a line; null if no lines stand for them. */
export function presetsText({ values, settings }) {
  const text = values.map((name) => `${written(name)}: ${pairsText(settings[String(name)] ?? {})}`).join("\n");
  try {
    return stringify(presetsOf(text)) === stringify({ values, settings }) ? text : null;
  } catch {
    return null;
  }
}

/** Read the conditions of combinations to leave out, one combination a line. */
export function skipsOf(text) {
  return lines(text).map(pairsOf);
}

/** Write them; null if no lines stand for them. */
export function skipsText(skips) {
  const found = skips.map(pairsText);
  return found.includes(null) ? null : found.join("\n");
}

function lines(text) {
  return text.split("\n").filter((line) => line.trim());
}

/** Return where a value ends: at the next comma that is in no quotes and no brackets. */
function endOf(line, start) {
  let depth = 0;
  for (let at = start; at < line.length; at += 1) {
    QUOTED.lastIndex = at;
    if (line[at] === '"' && QUOTED.test(line)) at = QUOTED.lastIndex - 1;
    else if ("[{".includes(line[at])) depth += 1;
    else if ("]}".includes(line[at])) depth -= 1;
    else if (line[at] === "," && depth <= 0) return at;
  }
  return line.length;
}

function read(text, key) {
  if (text === "") throw new Error(`${key} has no value; write "" for the empty text`);
  if (text === "true" || text === "false") return text === "true";
  if (!NUMBER.test(text) && !/^(".*"|\[.*\]|\{.*\})$/s.test(text)) return text;
  try {
    return parse(text);
  } catch {
    throw new Error(`${text.slice(0, 60)} is no value; a text with brackets stands in quotes`);
  }
}

function written(value) {
  if (typeof value !== "string") return stringify(value);
  return /^[^\s",:=[\]{}]([^",:[\]{}]*[^\s",:[\]{}])?$/.test(value) && !NUMBER.test(value) && !["true", "false"].includes(value) ? value : JSON.stringify(value);
}
