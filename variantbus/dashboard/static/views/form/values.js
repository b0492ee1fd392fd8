// The values of a variable: chips of what is offered, of numbers, or texts of any length; or a range with its preview.

import { html, live, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { valueKey } from "../../data/values.js";
import { rangeTyped } from "./definition.js";
import { axisField, domId, toggle } from "./fields.js";
import { itemsOf, rangeOf, rangeText, textOf } from "../../data/entries.js";
import { suggestions } from "./settings.js";

const SHOWN = 60; // choices at a time; a server may have thousands of models

/** Return the editor of a list of values. */
export function listEditor(form, axis, knob) {
  const isText = knob?.kind === "str" && !knob.choices?.length;
  const isChoice = Boolean(knob?.choices?.length) || knob?.kind === "bool";
  return html`
    ${isChoice ? choices(form, axis, knob) : ""}
    ${others(form, axis, knob, isChoice, isText)}
    ${axis.mode === "all" ? "" : adding(form, axis, knob, { isText, isChoice })}
  `;
}

function choices(form, axis, knob) {
  const offered = knob.kind === "bool" ? [true, false] : knob.choices;
  const isAll = axis.mode === "all";
  const chosen = new Set(axis.items.map(valueKey));
  const search = axis.typed.trim().toLowerCase();
  const found = search && !isAll ? offered.filter((one) => String(one).toLowerCase().includes(search)) : offered;
  const turn = (one) => () => {
    const isOn = isAll || chosen.has(valueKey(one));
    const before = isAll ? offered : axis.items;
    form.changeAxis(axis, { mode: "list", items: isOn ? before.filter((other) => valueKey(other) !== valueKey(one)) : [...before, one], typed: "" });
  };
  const all = knob.kind === "bool" ? "" : toggle(`All ${offered.length}`, isAll, () => form.changeAxis(axis, { mode: isAll ? "list" : "all", typed: "" }));
  return html`<div class="choices" role="group" aria-label=${`Values of ${axis.name}`}>
    ${all}${found.slice(0, SHOWN).map((one) => toggle(textOf(one, knob), isAll || chosen.has(valueKey(one)), turn(one)))}
    ${found.length > SHOWN ? html`<span class="facts">${found.length - SHOWN} more; type a part of a name</span>` : ""}
    ${search && !found.length ? html`<span class="facts">none is called so</span>` : ""}
  </div>`;
}

/** Return the values that were typed; of choices those that are not offered under this name. */
function others(form, axis, knob, isChoice, isText) {
  const offered = new Set((isChoice ? (knob.choices ?? [true, false]) : []).map(valueKey));
  const bad = form.problem(`axis ${axis.key} values`)?.item;
  const shown = axis.items.map((value, place) => ({ value, place })).filter((one) => !offered.has(valueKey(one.value)));
  if (!shown.length || axis.mode === "all") return "";
  const without = (place) => axis.items.filter((_, other) => other !== place);
  const edit = ({ value, place }) => {
    form.changeAxis(axis, { items: without(place), typed: textOf(value, knob) });
    form.focus(`axis ${axis.key} values`);
  };
  const item = (one) => {
    const text = textOf(one.value, knob);
    return html`<li class=${one.place === bad ? "bad" : ""}>
      <button type="button" class="plain text" title="Change it" @click=${() => edit(one)}>${text}</button>
      <button type="button" class="plain" aria-label=${`Remove ${text}`} @click=${() => form.changeAxis(axis, { items: without(one.place) })}>${icon("close")}</button>
    </li>`;
  };
  return html`<ul class=${isText ? "items texts" : "items"}>${shown.map(item)}</ul>`;
}

function adding(form, axis, knob, { isText, isChoice }) {
  const field = `axis ${axis.key} values`;
  const add = () => {
    const typed = isChoice ? onlyMatch(axis.typed, knob) : axis.typed;
    const range = isText || isChoice || axis.items.length ? null : rangeOf(typed);
    if (range) return form.changeAxis(axis, { mode: "range", range, typed: "" });
    try {
      form.changeAxis(axis, { items: different([...axis.items, ...itemsOf(typed, knob)]), typed: "" });
    } catch {
      form.changeAxis(axis, {}); // the sentence about it comes with the plan, and what was typed stays
    }
  };
  const onkeydown = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && axis.typed.trim()) {
      event.preventDefault();
      add();
    } else if (event.key === "Backspace" && axis.typed === "" && axis.items.length && !isChoice) {
      form.changeAxis(axis, { items: axis.items.slice(0, -1) });
    }
  };
  const oninput = (event) => {
    axis = form.changeAxis(axis, { typed: event.target.value });
    if (!isText && event.inputType === "insertText" && /,\s*$/.test(axis.typed) && !isChoice && isAddable(axis.typed, knob)) add();
  };
  const suggested = axis.items.length || axis.typed ? [] : suggestions(axis.form === "setting" ? axis.name : "", knob, form.draft.pipeline);
  const words = isChoice ? (knob.kind === "bool" ? "" : "search, or type another name") : isText ? "a text; Enter for the next one" : "1, 2, 4 or 1 to 5 by 0.5";
  if (knob?.kind === "bool") return "";
  return html`<div class="adding">
    <textarea
      id=${domId(field)}
      name=${`${axisField(axis)} values`}
      rows=${isText ? 2 : 1}
      .value=${live(axis.typed)}
      placeholder=${words}
      aria-label=${`Values of ${axis.name || "it"}`}
      aria-invalid=${form.problem(field) ? "true" : nothing}
      aria-describedby=${form.problem(field) ? `${domId(field)}-wrong` : nothing}
      @input=${oninput}
      @keydown=${onkeydown}
    ></textarea>
    ${axis.typed.trim() ? html`<button type="button" @click=${add}>Add</button>` : ""}
    ${suggested.length ? html`<button type="button" @click=${() => form.changeAxis(axis, { items: suggested })}>Try ${suggested.join(", ")}</button>` : ""}
  </div>`;
}

/** Of choices, Enter takes the only one that is left of the search. */
function onlyMatch(typed, knob) {
  const search = typed.trim().toLowerCase();
  const found = (knob.choices ?? []).filter((one) => String(one).toLowerCase().includes(search));
  return found.length === 1 && !typed.includes(",") ? String(found[0]) : typed;
}

/** Return whether a line that ends with a comma is a list, and not a text that goes on. */
function isAddable(typed, knob) {
  try {
    return itemsOf(typed, knob).every((one) => typeof one !== "string" || knob?.choices?.length);
  } catch {
    return false;
  }
}

function different(items) {
  const seen = new Map(items.map((one) => [valueKey(one), one]));
  return [...seen.values()];
}

/** Return the editor of a range. */
export function rangeEditor(form, axis) {
  const field = `axis ${axis.key} values`;
  const input = (part, label, example) => html`<label class="field">
    <span>${label}</span>
    <input
      id=${part === "start" ? domId(field) : nothing}
      name=${`${axisField(axis)} ${part}`}
      inputmode="decimal"
      autocomplete="off"
      placeholder=${example}
      .value=${live(String(axis.range[part] ?? ""))}
      aria-invalid=${form.problem(field) ? "true" : nothing}
      aria-describedby=${form.problem(field) ? `${domId(field)}-wrong` : nothing}
      @input=${(event) => form.changeAxis(axis, { range: rangeTyped(axis.range, part, event.target.value) })}
    />
  </label>`;
  return html`<div class="range">${input("start", "from", "3")}${input("stop", "to", "15")}${input("step", "in steps of", "1.5")}</div>
    <p class="facts preview-of-range">${previewOf(axis.range)}</p>`;
}

function previewOf(range) {
  try {
    const { count, text } = rangeText(range);
    return `${text} (${count} ${count === 1 ? "value" : "values"})`;
  } catch {
    return "";
  }
}
