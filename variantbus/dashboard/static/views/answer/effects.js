// Of several variables: how much each matters, what each of its values does on average, and which depend on each other.

import { html } from "../../base/html.js";
import { numberText, percent } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { axis, line } from "./table.js";

const LIKELY = 0.5; // that two variables depend on each other: less is not worth a word

/** Return the variables by importance, each with the means of its values over all values of the others. */
export function effects(made, scale) {
  return html`<h2>What matters</h2>
    <ul class="shares">${made.effects.map((one) => share(one.name, one.total, matters(one)))}</ul>
    ${together(made)}
    <div class="wide" role="region" aria-label="Variables" tabindex="0">${means(made, scale)}</div>
    <p class="caption">A bar is the share of a variable in all differences between values, with what it does together with others; the thin line is
      where the truth lies with a probability of 90 %.</p>`;
}

/** Return the share of a variable in all differences between values, with its interval. */
export function matters(one) {
  const alone = one.alone.mean > one.total.mean - 0.01 ? "" : `, by itself ${percent(one.alone.mean)}`;
  return `${percent(one.total.mean)} (${Math.round(100 * one.total.low)} to ${Math.round(100 * one.total.high)} %${alone})`;
}

function share(name, { mean, low, high }, text) {
  const at = (part) => `${100 * part}%`;
  return html`<li><b>${name}</b>
    <svg height="14" aria-hidden="true"><rect class="rail" width="100%" height="14" rx="4" /><rect class="amount" width=${at(mean)} height="14" rx="4" />
      <line class="doubt" x1=${at(low)} x2=${at(high)} y1="7" y2="7" /></svg>
    <span>${text}</span></li>`;
}

/** Return the pairs of variables of which one probably changes what the other does. */
export function dependent(made) {
  return (made.interactions ?? []).filter((one) => one.probability >= LIKELY);
}

function together(made) {
  const pairs = dependent(made);
  if (!pairs.length) return "";
  const text = (one) => `${one.share.mean < 0.005 ? "under 1" : Math.round(100 * one.share.mean)} % of all differences, ${percent(one.probability)} sure`;
  return html`<h3>Depend on each other</h3>
    <ul class="shares">${pairs.map((one) => share(one.names.join(" × "), one.share, text(one)))}</ul>`;
}

function means(made, scale) {
  const text = (level) => `${numberText(level.mean)}, between ${numberText(level.low)} and ${numberText(level.high)}`;
  const row = (one, level, at) => html`<tr role="row">
    ${at ? html`<td role="cell" class="of"></td>` : html`<th scope="row" role="rowheader" class="of">${one.name}</th>`}
    <th scope="row" role="rowheader" class="level">${valueText(level.value)}</th>
    <td role="cell" class="space">${line(level, [], scale, text(level))}</td>
    <td role="cell" data-label="on average">${numberText(level.mean)}</td>
    <td role="cell" data-label="90 % sure between">${numberText(level.low) || 0} … ${numberText(level.high) || 0}</td>
  </tr>`;
  return html`<table class="plot means" role="table">
    <thead role="rowgroup"><tr role="row"><th scope="col" class="first">variable</th><th scope="col" class="level">value</th>
      <th scope="col" class="space">mean over all values of the others${axis(scale)}</th><th scope="col">on average</th><th scope="col">90 % sure between</th></tr></thead>
    <tbody role="rowgroup">${made.effects.map((one) => one.values.map((level, at) => row(one, level, at)))}</tbody>
  </table>`;
}
