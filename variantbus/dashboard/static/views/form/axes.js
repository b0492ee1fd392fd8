// The variables of the form for a new experiment: a setting, a value in a table, a word in braces, or a part of the prompt.

import { h, fill } from "../../base/dom.js";
import { listed } from "../../data/values.js";

const KEYS = ["a", "b", "c", "d", "e", "f"]; // as many as an experiment may have
const FIRST = 2; // that are there at once
const WORD = "{}"; // a word in braces, in any text of the settings
const PART = "replace"; // a text in the prompt
const PATH = "path"; // a value in a table of the settings
const EXAMPLES = { [WORD]: "style, for {style} in the prompt", [PART]: "the part to replace" };

/** Make the lines of variables, with a button for one more; `tables` are the settings whose values are variables, too. */
export function axesOf(knobs, first, tables) {
  const element = h("div", { class: "axes" });
  const more = h("button", { type: "button", onclick: add }, "One more variable");
  let count = 0;

  function add() {
    const key = KEYS[count];
    const line = axis(key, count === 0 ? "What is varied" : "and with it (a grid)", knobs, count === 0 ? first : "", tables);
    more.before(line);
    count += 1;
    more.hidden = count === KEYS.length;
    return line;
  }

  fill(element, more);
  while (count < FIRST) add();
  more.addEventListener("click", () => more.previousElementSibling.querySelector("select, input").focus());
  return element;
}

function axis(key, label, knobs, chosen, tables) {
  const names = Object.keys(knobs);
  const options = [...(key === KEYS[0] ? [] : [["", "nothing else"]]), ...names.map((name) => [name, name]), ...(tables.length ? [[PATH, "a value in a table"]] : []), [WORD, "a {word} in a text"], ...("prompt" in knobs ? [[PART, "a part of the prompt"]] : [])];
  // the placeholders of a command and the inputs of a workflow are known only with the settings
  const picked = names.length ? h("select", { name: `${key} name` }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))) : h("input", { name: `${key} name`, placeholder: "a {name} in the settings" });
  const about = h("small", {});
  const text = h("input", { name: `${key} text` });
  const word = h("label", { class: "field" }, h("span", {}, "Which one"), text);
  const show = () => {
    about.textContent = hint(knobs[picked.value]);
    word.hidden = ![WORD, PART, PATH].includes(picked.value);
    text.placeholder = EXAMPLES[picked.value] ?? tables.map((table) => `${table}.…`).join(", ");
  };
  picked.addEventListener("change", show);
  show();
  const values = h("input", { name: `${key} values`, placeholder: "1, 2, 4 or 1 to 5 by 0.5 or all", value: key === KEYS[0] ? "1, 1.5, 2, 4" : "" });
  return h("div", { class: "row" }, h("label", { class: "field" }, h("span", {}, label), picked, about), word, h("label", { class: "field" }, h("span", {}, "Values"), values));
}

/** Return the variables of the form, as a definition has them. */
export function readAxes(read) {
  return KEYS.map((key) => variable(read(`${key} name`), read(`${key} text`).trim(), valuesOf(read(`${key} values`)))).filter(Boolean);
}

function variable(name, text, values) {
  if (!name) return null;
  if (name === WORD) return { name: text.replace(/^\{|\}$/g, ""), fills: true, ...values };
  if (name === PATH) return { name: text, ...values };
  if (name === PART) return { name: text, setting: "prompt", replace: text, ...values };
  return { name, ...values };
}

/** Read `1, 2, 4`, `"a, b", ""`, `1 to 5 by 0.5` or `all`. */
export function valuesOf(text) {
  const trimmed = text.trim();
  if (trimmed === "all") return { values: "all" };
  const range = trimmed.match(/^(\S+)\s+to\s+(\S+)\s+by\s+(\S+)$/);
  if (range) return { start: range[1], stop: range[2], step: range[3] };
  return { values: listed(trimmed) };
}

/** Return what a setting takes, for people. */
export function hint(knob) {
  if (!knob) return "";
  const parts = [];
  if (knob.choices?.length) parts.push(`${knob.choices.length} choices: ${knob.choices.slice(0, 6).join(", ")}${knob.choices.length > 6 ? " …" : ""}`);
  if (knob.minimum !== undefined || knob.maximum !== undefined) parts.push(`${knob.minimum ?? "…"} to ${knob.maximum ?? "…"}`);
  if (knob.unit) parts.push(knob.unit);
  return parts.join("; ");
}
