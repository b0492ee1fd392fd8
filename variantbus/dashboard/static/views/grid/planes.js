// Of an experiment over several variables: which two are shown, and which value each of the others has.

import { html, repeat } from "../../base/html.js";
import { valueKey, valueText } from "../../data/values.js";

/** No variable across: all combinations in a row. */
export const ROW = "";
const PLANE = 2; // variables that are shown
const SPARSE = 2; // cells for each value, at most: the single points of a search or a sample are better in a row

/**
 * Return the plane of values that are maps: `{ names, parts, across, down, fixed }`.
 *
 * `parts` has the different values of each variable, `fixed` the values of those that are not shown, which `places`
 * names by their keys. `across` is `ROW` where all combinations are in a row; null chooses by itself.
 */
export function planeOf(values, { across, down, places }) {
  const names = Object.keys(values[0]);
  const parts = new Map(names.map((name) => [name, different(values, name)]));
  const isKnown = across === ROW || (parts.has(across) && parts.has(down) && across !== down);
  const [first, second] = isKnown ? [across, parts.has(down) ? down : names[1]] : begin(names, parts, values.length);
  const others = names.filter((name) => name !== first && name !== second);
  const fixed = Object.fromEntries(others.map((name) => [name, partOf(parts.get(name), places[name])]));
  return { names, parts, across: first, down: second, fixed };
}

function begin(names, parts, count) {
  const cells = [...parts.values()].reduce((product, one) => product * one.length, 1);
  return names.length > PLANE && cells > SPARSE * count ? [ROW, names[1]] : names;
}

function partOf(parts, key) {
  return parts.find((one) => valueKey(one) === key) ?? parts[0];
}

function different(values, name) {
  return [...new Map(values.map((value) => [valueKey(value[name]), value[name]])).values()];
}

/** Return the line of selects; `change` is called with what is chosen anew. Two variables have nothing to choose. */
export function planeTools(plane, change) {
  if (!plane || plane.names.length <= PLANE) return "";
  const { names, parts, across, down, fixed } = plane;
  const options = names.map((name) => [name, name]);
  const takeAcross = (name) => change({ across: name, down: name === down ? across || names.find((one) => one !== name) : down });
  const takeDown = (name) => change(name === across ? { across: down, down: across } : { across, down: name });
  const values = (name) => parts.get(name).map((one) => [valueKey(one), valueText(one)]);
  const take = (name) => (key) => change({ across, down, place: [name, key] });
  const choices = [["Across", across, [...options, [ROW, "all combinations"]], takeAcross]];
  if (across !== ROW) {
    choices.push(["Down", down, options, takeDown]);
    choices.push(...Object.keys(fixed).map((name) => [name, valueKey(fixed[name]), values(name), take(name)]));
  }
  return html`<div class="bar planes" role="group" aria-label="Variables">${repeat(choices, ([label]) => label, choice)}</div>`;
}

function choice([label, value, options, take]) {
  return html`<label>
    ${label}
    <select name=${label} aria-label=${label} @change=${(event) => take(event.target.value)}>
      ${options.map(([key, text]) => html`<option value=${key} .selected=${key === value}>${text}</option>`)}
    </select>
  </label>`;
}
