// The line above the pictures: how they are arranged, and what can be done with all of them.

import { html, live } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { isShared } from "../../data/api.js";
import { valueText } from "../../data/values.js";
import { SIZES } from "./settings.js";

const SORTS = [["plan", "order of the plan"], ["best", "best first"], ["fast", "fastest first"]];
const FILTERS = [["", "all values"], ["failed", "with failures"], ["warned", "with warnings"], ["unrated", "not rated yet"]];

/** Return the line; `on` has the functions of its buttons, `isOpen` is whether a narrow window shows all of it. */
export function toolbar({ settings, size, colours, range, hidden, shared, fixed, totals, canCancel, isOpen }, on) {
  const sorts = settings.sort === "own" ? [...SORTS, ["own", "in my order"]] : SORTS;
  return html`<div class=${`bar tools${isOpen ? " open" : ""}`}>
    <button class="unfold" aria-expanded=${isOpen} aria-label="Arrange the pictures" @click=${on.unfold}>${icon("sliders")}</button>
    <div class="how">
      <span class="sizes">
        <input type="range" min=${SIZES.least} max=${SIZES.most} .value=${live(String(size.pixels))} aria-label="Size of pictures" @input=${(event) => on.resize(Number(event.target.value))} />
        <button class="plain" aria-pressed=${size.isFit} aria-label="Fit" title="As wide as the window" @click=${on.fit}>${icon("fit")}${words("Fit")}</button>
      </span>
      ${choice("Order", settings.sort, sorts, (sort) => on.set({ sort }))} ${choice("Show", settings.filter, FILTERS, (filter) => on.set({ filter }))}
      <label class="colours">${icon("palette")} ${choice("Colour by", settings.colour, colours, (colour) => on.set({ colour }))}</label>
      ${range ? legend(range) : ""}
      <button aria-label="Turn" title="Swap rows and columns" @click=${() => on.set({ isTurned: !settings.isTurned })}>${icon("swap")}${words("Turn")}</button>
      <button aria-label="Save" title="Save the pictures as one file" ?hidden=${isShared} @click=${on.save}>${icon("download")}${words("Save")}</button>
      ${hidden ? html`<button @click=${on.showAll}>${icon("eye")}Show all (${hidden} hidden)</button>` : ""}
    </div>
    ${Object.keys(shared).length ? html`<span class="shared" title="the same in all of them">${valueText(shared)}</span>` : ""}
    ${Object.keys(fixed).length ? html`<span class="shared fixed">${valueText(fixed)}</span>` : ""}
    <span class="space"></span>
    <div class="acts" ?hidden=${isShared}>
      ${totals?.failed ? html`<button aria-label=${`Retry failed (${totals.failed})`} @click=${on.retry}>${icon("retry")}${words("Retry failed")}(${totals.failed})</button>` : ""}
      <button aria-label="Extend" title="More values or seeds" @click=${on.extend}>${icon("plus")}${words("Extend")}</button>
      ${canCancel ? html`<button aria-label="Cancel" title="Cancel what is left to do" @click=${on.cancel}>${icon("stop")}${words("Cancel")}</button>` : ""}
    </div>
  </div>`;
}

/** Return the words of a button, which a window without room for them leaves to its icon. */
function words(text) {
  return html`<span class="words">${text}</span>`;
}

function choice(label, value, options, take) {
  return html`<select aria-label=${label} .value=${live(value)} @change=${(event) => take(event.target.value)}>
    ${options.map(([key, text]) => html`<option value=${key} .selected=${key === value}>${label === "Colour by" && !key ? "no colours" : text}</option>`)}
  </select>`;
}

/** Return what the colours mean. */
function legend([least, most]) {
  return html`<span class="legend"><span>${least}</span>${[0, 25, 50, 75, 100].map((share) => html`<i data-share=${share}></i>`)}<span>${most}</span></span>`;
}
