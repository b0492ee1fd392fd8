// A field of the form: its label, what is typed, a hint, and what is wrong with it, which a screen reader hears with it.

import { html, live, nothing } from "../../base/html.js";

/** Return the id of a field's control in the page; a setting may be called anything. */
export function domId(field) {
  return `field-${encodeURIComponent(field)}`;
}

/** Return how the names of an axis's controls begin: "a", of "a values". */
export function axisField({ key }) {
  return "abcdef"[key];
}

/** Return a field around its control. */
export function labelled(form, field, label, control, { hint = "", kind = "" } = {}) {
  return html`<div class=${`field ${kind}`}>
    <label for=${domId(field)}>${label}</label>
    ${control}
    ${hint ? html`<small id=${`${domId(field)}-hint`}>${hint}</small>` : ""}
    ${wrong(form, field)}
  </div>`;
}

/** Return the sentence of what is wrong with a field. */
export function wrong(form, field) {
  const problem = form.problem(field);
  return problem ? html`<p class="error" id=${`${domId(field)}-wrong`}>${problem.text}</p>` : "";
}

/** Return a line of text. */
export function lineInput(form, field, value, set, { placeholder = "", mode = "text", label, hint = false, name = field } = {}) {
  return html`<input
    id=${domId(field)}
    name=${name}
    .value=${live(value)}
    placeholder=${placeholder}
    inputmode=${mode}
    autocomplete="off"
    spellcheck="false"
    aria-label=${label ?? nothing}
    aria-invalid=${form.problem(field) ? "true" : nothing}
    aria-describedby=${described(form, field, hint)}
    @input=${(event) => set(event.target.value)}
  />`;
}

/** Return lines of text. */
export function areaInput(form, field, value, set, { placeholder = "", rows = 2, label, hint = false, onkeydown = () => {} } = {}) {
  return html`<textarea
    id=${domId(field)}
    name=${field}
    .value=${live(value)}
    placeholder=${placeholder}
    rows=${rows}
    aria-label=${label ?? nothing}
    aria-invalid=${form.problem(field) ? "true" : nothing}
    aria-describedby=${described(form, field, hint)}
    @input=${(event) => set(event.target.value)}
    @keydown=${onkeydown}
  ></textarea>`;
}

/** Return a choice; `options` are pairs of value and text, or `{ label, options }` for a group of them. */
export function choice(form, field, value, options, set, { label, hint = false, name = field } = {}) {
  const option = ([one, text]) => html`<option value=${one} .selected=${live(one === value)}>${text}</option>`;
  return html`<select
    id=${domId(field)}
    name=${name}
    aria-label=${label ?? nothing}
    aria-invalid=${form.problem(field) ? "true" : nothing}
    aria-describedby=${described(form, field, hint)}
    @change=${(event) => set(event.target.value)}
  >
    ${options.map((one) => (Array.isArray(one) ? option(one) : html`<optgroup label=${one.label}>${one.options.map(option)}</optgroup>`))}
  </select>`;
}

/** Return a button that is pressed or not. */
export function toggle(text, isOn, turn, title = "") {
  return html`<button type="button" class="toggle" aria-pressed=${isOn ? "true" : "false"} title=${title || nothing} @click=${turn}>${text}</button>`;
}

function described(form, field, hint) {
  const parts = [hint && `${domId(field)}-hint`, form.problem(field) && `${domId(field)}-wrong`].filter(Boolean);
  return parts.length ? parts.join(" ") : nothing;
}
