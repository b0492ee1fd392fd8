// What is known of the values of the open experiment, for charts: estimates in order, single results, scales.

import { numberText } from "../base/text.js";
import { pictures, state } from "../data/state.js";
import { settingsText, valueKey, valueText } from "../data/values.js";

const POSSIBLE = 0.05; // that a value is the best: less is ruled out
const LONGEST = 60; // characters of a value in a heading
const UNITS = { stars: "stars", preference: "of its comparisons won" };
const ONE = { stars: "rating", preference: "comparison" };

/** Return whether a value is hardly the best. */
export function isRuledOut(one) {
  return one.p_best !== null && one.p_best < POSSIBLE;
}

/** Return whether an estimate is of the value that is recommended. */
export function isChosen(made, one) {
  return made.value !== null && valueKey(made.value) === valueKey(one.value);
}

/** Return estimates with their places in the plan as `index`: numbers by size, all else in the order of the plan. */
export function inOrder(made) {
  const estimates = made.estimates.map((one, index) => ({ ...one, index }));
  if (!areNumbers(estimates)) return estimates;
  return estimates.sort((one, other) => (one.value < other.value ? -1 : one.value > other.value ? 1 : one.index - other.index));
}

/** Return whether all values are numbers, so that they have an order. */
export function areNumbers(estimates) {
  return estimates.every((one) => typeof one.value === "number" || typeof one.value === "bigint");
}

/** Return different values: numbers by size, all else as they come. */
export function differentValues(values) {
  const found = [...new Map(values.map((value) => [valueKey(value), value])).values()];
  return areNumbers(found.map((value) => ({ value }))) ? found.sort((one, other) => (one < other ? -1 : one > other ? 1 : 0)) : found;
}

/** Return whether less is better. */
export function isMinimized(made) {
  return made.objective.startsWith("minimize ");
}

/** Return the name of the metric of an objective such as `maximize prompt_match`; "stars" and "preference" stay. */
export function metricOf(objective) {
  return objective.slice(objective.indexOf(" ") + 1);
}

/** Return what one observation is called, in the plural unless it is one: "12 ratings". */
export function counted(count, objective) {
  return `${count} ${ONE[objective] ?? "result"}${count === 1 ? "" : "s"}`;
}

/** Return the name of what is varied; of several variables "". */
export function variableOf(variants) {
  const variant = variants.values().next().value;
  return !variant || isMap(variant.variant_value) ? "" : variant.variable_under_test;
}

/** Return a value with the name of its variable, short enough for a heading; `definition` names presets' settings. */
export function namedValue(value, variable) {
  return shortened(isMap(value) || !variable ? valueText(value) : `${variable} ${valueText(value)}`);
}

/** Return what a value that is a name stands for, null if it says so itself. */
export function meaningOf(definition, variable, value) {
  return variable ? settingsText(definition, variable, value) : null;
}

export function isMap(value) {
  return value !== null && typeof value === "object";
}

/** Return a text that is cut where it is too long. */
export function shortened(text, longest = LONGEST) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

/** Return a score as people read it: "4.3 stars", "62 % of its comparisons won", "0.31". */
export function scoreText(number, objective) {
  if (number === null || number === undefined) return "";
  const unit = UNITS[objective] ?? (metricOf(objective) === "seconds" ? "s" : "");
  const text = plainText(number, objective);
  return text === "1" && unit === UNITS.stars ? "1 star" : `${text}${unit && ` ${unit}`}`;
}

/** Return where a value lies with a probability of 90 %, "" where nobody knows. */
export function betweenText(one, objective) {
  return one.low === null ? "" : `90 % sure: ${plainText(one.low, objective)} to ${plainText(one.high, objective)}`;
}

/** Return all that is known of a value in a line. */
export function estimateText(one, objective) {
  if (one.mean === null) return "no result yet";
  const between = betweenText(one, objective);
  return `${scoreText(one.mean, objective)}${between && ` (${between})`}; ${counted(one.n, objective)}`;
}

function plainText(number, objective) {
  return objective === "preference" ? `${Math.round(100 * number)} %` : numberText(number) || "0";
}

/** Return a value without the names of its variables, for where there is little room. */
export function valueInShort(value) {
  return isMap(value) ? Object.values(value).map(valueText).join(" · ") : valueText(value);
}

/** Return the score of a job by the objective, null where it has none. */
export function scoreOf(cell, objective) {
  if (cell.state !== "completed") return null;
  const metric = metricOf(objective);
  return cell.metrics?.[metric] ?? (metric === "seconds" ? (cell.seconds ?? null) : null);
}

/** Return the single results of each value, by its place in the plan. */
export function pointsOf(objective) {
  const found = new Map();
  const add = (index, number) => {
    if (number === null || number === undefined) return;
    if (found.has(index)) found.get(index).push(number);
    else found.set(index, [number]);
  };
  if (objective === "stars") for (const { variant, sha256 } of pictures()) add(variant.variant_index, state.open.ratings.get(sha256)?.stars);
  else if (objective !== "preference") for (const [key, cell] of state.open.cells) add(Number(key.split(".")[0]), scoreOf(cell, objective));
  return found;
}

/** Return a scale for all numbers, with round ticks: `{ ticks, at }`, where `at` gives percent. */
export function scaleOf(made, points) {
  if (made.objective === "stars") return scaleOfStars();
  if (made.objective === "preference") return between(-0.03, 1.03, [0, 0.25, 0.5, 0.75, 1]);
  return scaleFor([...made.estimates.flatMap((one) => [one.mean, one.low, one.high]), ...[...points.values()].flat()]);
}

/** Return the scale of stars. */
export function scaleOfStars() {
  return between(0.8, 5.2, [1, 2, 3, 4, 5]);
}

/** Return a scale with round ticks for numbers, of which some may be null. */
export function scaleFor(given) {
  const numbers = given.filter((one) => Number.isFinite(one));
  const [low, high] = numbers.length ? numbers.reduce(([less, more], one) => [Math.min(less, one), Math.max(more, one)], [Infinity, -Infinity]) : [0, 1];
  const rough = (high - low || Math.abs(high) || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((part) => part * power >= rough * (1 - 1e-9)) * power;
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step));
  const margin = (last - first) * step * 0.03;
  const ticks = Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
  return between(first * step - margin, last * step + margin, ticks);
}

function between(low, high, ticks) {
  return { ticks, at: (number) => (100 * (number - low)) / (high - low) };
}
