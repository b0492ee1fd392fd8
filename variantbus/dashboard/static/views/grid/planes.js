// Of an experiment over three variables or more: which two are shown, and which value each of the others has.

import { fill, h } from "../../base/dom.js";
import { valueKey, valueText } from "../../data/values.js";

const PLANE = 2; // variables that are shown
const SPARSE = 2; // cells for each value, at most: the single points of a search or a sample are better in a row
const ROW = ""; // no variable across: all combinations in a row

/** Make the line of selects; `onchange` is called after each choice. */
export function planeChooser(onchange) {
  const element = h("div", { class: "bar tools", role: "group", "aria-label": "Variables", hidden: true });
  const places = new Map(); // name -> the key of the value that it has while it is not shown
  let drawn = "";
  let across = null; // until there are values
  let down = null;

  /** Return the names that are shown, their values, and the values of the others; null: all combinations in a row. */
  function take(values) {
    const names = Object.keys(values[0]);
    const parts = new Map(names.map((name) => [name, different(values, name)]));
    if (across === null || (across !== ROW && !parts.has(across))) begin(names, parts, values.length);
    draw(names, parts);
    if (across === ROW) return null;
    const others = names.filter((name) => name !== across && name !== down);
    return { names: [across, down], parts, fixed: Object.fromEntries(others.map((name) => [name, chosen(name, parts.get(name))])) };
  }

  function begin(names, parts, count) {
    const cells = [...parts.values()].reduce((product, one) => product * one.length, 1);
    [across, down] = names.length > PLANE && cells > SPARSE * count ? [ROW, names[1]] : names;
  }

  function chosen(name, parts) {
    return parts.find((one) => valueKey(one) === places.get(name)) ?? parts[0];
  }

  function draw(names, parts) {
    element.hidden = names.length <= PLANE;
    const state = JSON.stringify([across, down, [...parts].map(([name, values]) => [name, values.map(valueKey), places.get(name) ?? ""])]);
    if (state === drawn) return;
    drawn = state;
    const active = element.contains(document.activeElement) ? document.activeElement.name : null; // a keyboard stays where it is
    const options = names.map((name) => [name, name]);
    fill(
      element,
      choice("Across", across, [...options, [ROW, "all combinations"]], show),
      across !== ROW && choice("Down", down, options, (name) => (name === across ? ([across, down] = [down, across]) : (down = name))),
      names.filter((name) => across !== ROW && name !== across && name !== down).map((name) => choice(name, valueKey(chosen(name, parts.get(name))), parts.get(name).map((one) => [valueKey(one), valueText(one)]), (key) => places.set(name, key))),
    );
    if (active) element.querySelector(`[name="${CSS.escape(active)}"]`)?.focus();

    function show(name) {
      if (name === down) down = across || names.find((one) => one !== name);
      across = name;
    }
  }

  function choice(label, value, options, change) {
    const select = h("select", { name: label, "aria-label": label, onchange: () => (change(select.value), onchange()) }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
    return h("label", {}, `${label} `, select);
  }

  /** Put the line away, as where values are in another order: they are in a row then. */
  function hide() {
    element.hidden = true;
    return null;
  }

  return { element, take, hide };
}

function different(values, name) {
  return [...new Map(values.map((value) => [valueKey(value[name]), value[name]])).values()];
}
