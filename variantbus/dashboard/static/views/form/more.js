// The settings of every job, and what an experiment seldom needs; all of it behind one line until somebody wants it.

import { html, live } from "../../base/html.js";
import { unusedOf } from "./definition.js";
import { textOf } from "../../data/entries.js";
import { areaInput, choice, domId, labelled, lineInput } from "./fields.js";
import { boundsText } from "./settings.js";
import { placed } from "./subject.js";

const FILTERED = 12; // settings, from which on there is a filter
const EXAMPLES = { map: '{"name": 1}', list: "one two three" };

/** Return what stands in the field of a setting. */
export function settingText(form, name) {
  const entry = form.draft.config[name];
  return !entry ? "" : "value" in entry ? textOf(entry.value, form.settings[name]) : entry.text;
}

/** Take what was typed for a setting. */
export function setText(form, name, text) {
  form.change({ config: { ...form.draft.config, [name]: { text } } });
}

/** Return the field of a setting. */
export function fieldOfSetting(form, name) {
  const knob = form.settings[name];
  const isNeeded = (form.spec?.required ?? []).includes(name) && "needed";
  // what a variable goes to has its own name, so its bounds tell more where a default stands in their place
  const about = name in (form.spec?.config ?? {}) ? knob?.target : knob?.default && !knob.choices?.length && boundsText(knob);
  return labelled(form, `config ${name}`, name, controlOf(form, name, knob), { hint: [isNeeded, about].filter(Boolean).join(": ") });
}

function controlOf(form, name, knob) {
  const field = `config ${name}`;
  const text = settingText(form, name);
  const set = (typed) => setText(form, name, typed);
  const isTable = ["map", "list"].includes(knob?.kind);
  const offered = knob?.kind === "bool" ? ["true", "false"] : isTable ? undefined : knob?.choices?.map(String);
  if (offered?.length && (text === "" || offered.includes(text))) {
    const none = ["", knob.default ? `${knob.default} (default)` : "default"];
    return choice(form, field, text, [none, ...offered.map((one) => [one, one])], set);
  }
  const placeholder = knob?.default || (EXAMPLES[knob?.kind] ?? boundsText(knob));
  if (knob?.kind === "map" || text.includes("\n")) return areaInput(form, field, text, set, { placeholder, rows: 2 });
  return lineInput(form, field, text, set, { placeholder, mode: ["int", "float"].includes(knob?.kind) ? "decimal" : "text" });
}

/** Return the section of all other settings. */
export function moreSection(form) {
  const varied = new Set(form.draft.axes.filter((axis) => axis.form === "setting").map((axis) => axis.name));
  const own = new Set(placed(form));
  const names = Object.keys(form.settings).filter((name) => !own.has(name) && !varied.has(name));
  const isSet = (name) => settingText(form, name) !== "" || form.problem(`config ${name}`);
  const search = form.search.trim().toLowerCase();
  const shown = names.filter((name) => !search || name.toLowerCase().includes(search) || isSet(name));
  const set = names.filter((name) => settingText(form, name) !== "");
  const brief = set.map((name) => `${name} ${settingText(form, name)}`).join(", ");
  const turn = (event) => {
    event.preventDefault(); // the draft knows whether it is open
    form.change({ isMoreOpen: !form.draft.isMoreOpen });
  };
  return html`<details class="part moresettings" .open=${live(form.draft.isMoreOpen)}>
    <summary @click=${turn}><h2>More settings</h2><span class="facts">${brief.length > 120 ? `${brief.slice(0, 119)}…` : brief}</span></summary>
    ${names.length > FILTERED ? searchField(form, names.length) : ""}
    ${shown.length ? html`<div class="many">${shown.map((name) => fieldOfSetting(form, name))}</div>` : names.length ? html`<p class="facts">No setting is called so.</p>` : ""}
    ${ofTheWhole(form)}
  </details>`;
}

function searchField(form, count) {
  return html`<input
    type="search"
    aria-label="Search the settings"
    placeholder=${`Search ${count} settings`}
    .value=${live(form.search)}
    @input=${(event) => form.find(event.target.value)}
  />`;
}

function ofTheWhole(form) {
  const { draft } = form;
  const line = (field, label, options, hint = "") => {
    const control = lineInput(form, field, draft[field], (text) => form.change({ [field]: text }), { ...options, hint: Boolean(hint) });
    return labelled(form, field, label, control, { hint });
  };
  return html`<h3>The plan</h3>
    <div class="many">
      ${line("seed", "First seed", { mode: "numeric", placeholder: "0" })}
      ${line("sample", "Combinations at most", { mode: "numeric", placeholder: "all" }, "fewer are spread evenly")}
      ${draft.objective === "seconds" ? "" : line("within", "Slower than the fastest by at most", { placeholder: "any time counts" }, "a value that takes longer is no answer: 20%")}
      ${draft.adaptive ? line("stop", "Ends when a value is best with", { placeholder: "90 %" }) : ""}
    </div>
    ${skipField(form)}`;
}

function skipField(form) {
  const { skip } = form.draft;
  if (skip.text === undefined) return html`<p class="facts">${skip.value.length} rules leave combinations out, as they were.</p>`;
  const set = (text) => form.change({ skip: { text } });
  if (form.draft.axes.length < 2 && !skip.text) return "";
  const hint = "one rule a line; a rule leaves out what fulfils all of it";
  const control = areaInput(form, "skip", skip.text, set, { placeholder: "cfg_scale = >7, steps = 10", hint: true });
  return labelled(form, "skip", "Combinations to leave out", control, { hint });
}

/** Return what is kept although the form has no field for it, with a way to drop it. */
export function keptSection(form) {
  const { draft } = form;
  const kept = Object.entries(draft.kept);
  const unused = unusedOf(draft, form.spec);
  const drop = (name) => () => form.change({ kept: Object.fromEntries(kept.filter(([one]) => one !== name)) });
  const clear = () => form.change({ config: Object.fromEntries(Object.entries(draft.config).filter(([name]) => !unused.includes(name))) });
  if (!kept.length && !unused.length && !draft.told.length) return "";
  const leave = (name) => html`<button type="button" class="plain" @click=${drop(name)}>Leave it out</button>`;
  return html`<section class="part kept" aria-label="Also there" id=${domId("kept")}>
    ${draft.told.map((text) => html`<p>${text}</p>`)}
    ${kept.map(([name, value]) => html`<p><b>${name}</b> <code>${short(textOf(value))}</code> is kept as it was. ${leave(name)}</p>`)}
    ${unused.length
      ? html`<p>${draft.pipeline} ${draft.stage} does not take ${unused.join(", ")}; kept for another stage, and not sent.
          <button type="button" class="plain" @click=${clear}>Forget</button></p>`
      : ""}
  </section>`;
}

function short(text) {
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}
