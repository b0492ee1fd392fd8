// What varies: for each variable which setting it is, and its values.

import { html, nothing, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { AXES, newAxis } from "./draft.js";
import { areaInput, axisField, choice, domId, labelled, lineInput, wrong } from "./fields.js";
import { presetsOf } from "./pairs.js";
import { boundsText, tablesOf } from "./settings.js";
import { listEditor, rangeEditor } from "./values.js";

const SPECIAL = { presets: "several settings together", word: "a {word} in a text", part: "a part of the prompt", path: "a value in a table" };
const WHICH = {
  word: { label: "Which word", placeholder: "style, for {style} in the prompt" },
  part: { label: "Which part of the prompt", placeholder: "star" },
  path: { label: "Which value", placeholder: "" },
};
const PRESETS = "fast: steps = 10, sampler_name = euler\ngood: steps = 30, sampler_name = heun";

/** Return the section of what varies. */
export function axesSection(form) {
  const { axes } = form.draft;
  const free = Array.from({ length: AXES }, (_, key) => key).filter((key) => !axes.some((axis) => axis.key === key));
  const add = () => {
    form.change({ axes: [...axes, newAxis(free[0])] });
    form.focus(`axis ${free[0]} name`);
  };
  return html`<section class="part" aria-labelledby="what-varies">
    <h2 id="what-varies">What varies</h2>
    ${repeat(axes, (axis) => axis.key, (axis, place) => axisView(form, axis, place))}
    ${axes.length < AXES ? html`<button type="button" class="plain more" @click=${add}>${icon("plus")} Vary another setting with it</button>` : ""}
  </section>`;
}

function axisView(form, axis, place) {
  const others = form.draft.axes.filter((one) => one !== axis);
  const remove = () => form.change({ axes: others.length ? others : [newAxis(0)] });
  const field = `axis ${axis.key} name`;
  const label = place ? "And with each of them" : "Setting";
  const isSetting = axis.form === "setting";
  return html`<fieldset class="axis">
    <legend class="hidden">${axis.name || label}</legend>
    <div class="row">
      ${isSetting
        ? labelled(form, field, label, setting(form, axis, others, field), { hint: hintOf(form, axis) })
        : html`<div class="field"><label for=${`${domId(field)}-form`}>${label}</label>${setting(form, axis, others, `${field}-form`)}</div>`}
      ${isSetting ? "" : which(form, axis)}
      ${others.length
        ? html`<button type="button" class="plain remove" aria-label=${`Do not vary ${axis.name || "this"}`} @click=${remove}>${icon("close")}</button>`
        : ""}
    </div>
    ${axis.form === "presets" ? presets(form, axis) : values(form, axis)}
  </fieldset>`;
}

function setting(form, axis, others, field) {
  const taken = new Set(others.filter((one) => one.form === "setting").map((one) => one.name));
  const names = Object.keys(form.variables).filter((name) => !taken.has(name) || name === axis.name);
  const isThere = { part: "prompt" in form.settings, path: tablesOf(form.spec).length > 0 };
  const specials = Object.entries(SPECIAL).filter(([one]) => isThere[one] ?? true);
  const isGone = axis.form === "setting" && axis.name && !names.includes(axis.name);
  const options = [
    ["", names.length ? "choose …" : "choose; a {word} of the command comes up here"],
    ...(isGone ? [[axis.name, `${axis.name} (not of this stage)`]] : []),
    ...names.map((name) => [name, name]),
    { label: "Something else", options: specials },
  ];
  const set = (value) => form.changeAxis(axis, turned(axis, value));
  const more = { hint: Boolean(hintOf(form, axis)), name: `${axisField(axis)} name` };
  return choice(form, field, axis.form === "setting" ? axis.name : axis.form, options, set, more);
}

/** Return an axis of another setting; what was typed for the one before comes back with it. */
function turned(axis, value) {
  const { form, name, part, mode, items, typed, range, presets: kept } = axis;
  const memory = { ...axis.memory, [form === "setting" ? name : form]: { form, name, part, mode, items, typed, range, presets: kept } };
  const fresh = { ...newAxis(axis.key, value in SPECIAL ? "" : value), form: value in SPECIAL ? value : "setting" };
  return { ...fresh, ...memory[value], memory };
}

function hintOf(form, axis) {
  if (axis.form !== "setting" || !axis.name) return "";
  const knob = form.variables[axis.name];
  const count = knob?.choices?.length ? `${knob.choices.length} choices` : boundsText(knob);
  return knob?.slow ? [count, "slow to change"].filter(Boolean).join(", ") : count;
}

function which(form, axis) {
  if (axis.form === "presets") return "";
  const { label, placeholder } = WHICH[axis.form];
  const key = axis.form === "part" ? "part" : "name";
  const field = `axis ${axis.key} ${key}`;
  const set = (text) => form.changeAxis(axis, { [key]: text, ...(key === "part" ? { label: undefined, setting: "" } : {}) });
  const example = axis.form === "path" ? tablesOf(form.spec).map((table) => `${table}.…`).join(", ") : placeholder;
  return labelled(form, field, label, lineInput(form, field, axis[key], set, { placeholder: example, name: `${axisField(axis)} text` }));
}

function values(form, axis) {
  const knob = axis.form === "setting" ? form.variables[axis.name] : undefined;
  const canRange = !["str", "bool", "list", "map"].includes(knob?.kind);
  const turn = (mode) => () => form.changeAxis(axis, { mode });
  const mode = (one, text) => html`<label>
    <input type="radio" name=${`${axisField(axis)} mode`} .checked=${axis.mode === one} @change=${turn(one)} /> ${text}
  </label>`;
  return html`<div class="editor">
    ${canRange || axis.mode === "range"
      ? html`<div class="modes" role="radiogroup" aria-label=${`How the values of ${axis.name || "it"} are given`}>
          ${mode("list", "Values")}${mode("range", "From … to …")}
        </div>`
      : ""}
    ${axis.mode === "range" ? rangeEditor(form, axis) : listEditor(form, axis, knob)}
    ${wrong(form, `axis ${axis.key} values`)}
  </div>`;
}

function presets(form, axis) {
  const field = `axis ${axis.key} values`;
  const name = `axis ${axis.key} name`;
  const { text, value } = axis.presets;
  const settings = Object.keys(Object.values(value?.settings ?? {})[0] ?? {});
  if (text === undefined) return html`<p class="facts">${value.values.length} combinations of ${settings.join(", ")}, as they were.</p>`;
  const set = (typed) => form.changeAxis(axis, { presets: { text: typed } });
  const rename = (typed) => form.changeAxis(axis, { name: typed });
  const lines = areaInput(form, field, text, set, { placeholder: PRESETS, rows: 3, hint: true });
  return html`<div class="editor">
    ${labelled(form, field, "One combination a line: a name, and what it sets", lines, { hint: countOf(text) })}
    ${labelled(form, name, "What they are called together", lineInput(form, name, axis.name, rename, { placeholder: "preset" }))}
  </div>`;
}

function countOf(text) {
  try {
    const count = presetsOf(text).values.length;
    return count ? `${count} ${count === 1 ? "value" : "values"}` : "Such as the width and the height of a picture, or a model with its steps.";
  } catch {
    return nothing;
  }
}
