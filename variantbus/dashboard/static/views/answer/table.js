// All values in a table: single results, estimate, interval, chance. On a phone each value is a card.

import { html, svg, repeat as each } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { numberText, percent } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { counted, estimateText, inOrder, isChosen, meaningOf } from "../../experiment/scores.js";

const LINE = 34; // px
const MOST = 60; // rows; of more the likeliest are shown first
const FEW = 20; // of those
const JITTER = [0.5, 0.32, 0.68, 0.41, 0.59];
const NOUNS = { stars: "ratings", preference: "comparisons" };
const COLUMNS = [
  { name: "value", of: null },
  { name: "mean", of: (one) => one.mean },
  { name: "n", of: (one) => one.n },
  { name: "chance", of: (one) => one.p_best },
  { name: "seconds", of: (one) => one.seconds },
];

/** Return the rows that are shown, in the order of a column of `COLUMNS`; many are cut to the likeliest unless all are wanted. */
export function rowsOf(made, variants, { sort, isDown, isAll }) {
  const rows = inOrder(made).map((one) => ({ ...one, seconds: variants.get(one.index)?.duration_mean ?? null }));
  const kept = isAll || rows.length <= MOST ? null : new Set([...rows].sort((one, other) => (other.p_best ?? 0) - (one.p_best ?? 0)).slice(0, FEW));
  const shown = kept ? rows.filter((one) => kept.has(one)) : rows;
  const of = COLUMNS.find((one) => one.name === sort)?.of;
  if (of) shown.sort((one, other) => (of(one) === null) - (of(other) === null) || (isDown ? -1 : 1) * (of(one) - of(other)));
  return { shown, hidden: rows.length - shown.length };
}

/**
 * Return the table.
 *
 * `look` is how it is looked at, `{ sort, isDown, isAll }`; `change(look)` is told of another way, `open(index)` of a value whose pictures
 * somebody wants to see.
 */
export function table({ made, variable, variants, points, scale, definition, look, change, open }) {
  const { shown, hidden } = rowsOf(made, variants, look);
  const slowest = Math.max(1e-9, ...shown.map((one) => one.seconds ?? 0));
  const sort = (name) => change({ ...look, sort: name, isDown: look.sort === name ? !look.isDown : name !== "value" });
  const head = (name, text, title, kind = "") => html`<th scope="col" class=${kind} aria-sort=${look.sort === name ? (look.isDown ? "descending" : "ascending") : "none"}>
    <button class="plain" title=${title} @click=${() => sort(name)}>${text}${look.sort === name ? icon(look.isDown ? "down" : "up") : ""}</button>
  </th>`;
  return html`<table class=${variable ? "plot" : "plot of-maps"} role="table">
      <thead role="rowgroup"><tr role="row">
        ${head("value", variable || "value", "In the order of the plan", "first")}
        <th scope="col" class="space">${made.objective}${axis(scale)}</th>
        ${head("mean", "estimate", "The mean that is expected of it")}
        <th scope="col">90 % sure between</th>
        ${head("n", NOUNS[made.objective] ?? "results", "How often it was seen")}
        ${head("chance", "chance to be best", "How likely it is that no other value is better")}
        ${head("seconds", "s per job", "How long a job takes", "bars")}
      </tr></thead>
      <tbody role="rowgroup">${each(shown, (one) => one.index, (one) => row(one, { made, points, scale, slowest, definition, variable, open }))}</tbody>
    </table>
    ${hidden ? html`<p><button @click=${() => change({ ...look, isAll: true })}>Show all ${hidden + shown.length} values</button> These ${shown.length} are the likeliest.</p>` : ""}
    ${look.isAll && shown.length > MOST ? html`<p><button @click=${() => change({ ...look, isAll: false })}>Show the likeliest ${FEW} only</button></p>` : ""}`;
}

function row(one, { made, points, scale, slowest, definition, variable, open }) {
  const settings = meaningOf(definition, variable, one.value);
  const isBest = isChosen(made, one);
  return html`<tr role="row" class=${isBest ? "chosen" : ""}>
    <th scope="row" role="rowheader"><button class="plain value" @click=${() => open(one.index)}>${valueText(one.value)}${isBest ? " ★" : ""}</button>
      ${settings ? html`<small>${settings}</small>` : ""}</th>
    <td role="cell" class="space">${line(one, points.get(one.index) ?? [], scale, estimateText(one, made.objective))}</td>
    <td role="cell" data-label="estimate">${numberText(one.mean)}</td>
    <td role="cell" data-label="90 % sure between">${one.low === null ? "" : `${numberText(one.low) || 0} … ${numberText(one.high) || 0}`}</td>
    <td role="cell" data-label=${counted(2, made.objective).slice(2)}>${one.n}</td>
    <td role="cell" class="chance-of" data-label="chance to be best">${percent(one.p_best)}</td>
    <td role="cell" class="bars" data-label="s per job">${numberText(one.seconds)}${bar(one.seconds, slowest)}</td>
  </tr>`;
}

function bar(seconds, slowest) {
  if (!seconds) return "";
  return html`<svg height="4" aria-hidden="true"><rect class="bar-of" width=${`${(100 * seconds) / slowest}%`} height="4" rx="2" /></svg>`;
}

/** Return single results, the interval and the mean on a line. */
export function line(one, points, scale, text) {
  const at = (number) => `${scale.at(number)}%`;
  return html`<svg height=${LINE} role="img" aria-label=${text}>
    ${scale.ticks.map((tick) => svg`<line class="tick" x1=${at(tick)} x2=${at(tick)} y1="-4" y2=${LINE + 4} />`)}
    ${points.map((number, place) => svg`<circle class="point" cx=${at(number)} cy=${LINE * JITTER[place % JITTER.length]} r="3.5" />`)}
    ${one.low === null ? "" : svg`<line class="interval" x1=${at(one.low)} x2=${at(one.high)} y1=${LINE / 2} y2=${LINE / 2} />`}
    ${one.mean === null ? "" : svg`<circle class="mean" cx=${at(one.mean)} cy=${LINE / 2} r="6" />`}
  </svg>`;
}

/** Return the numbers of a scale. */
export function axis(scale) {
  const name = (tick) => svg`<text class="label" x=${`${scale.at(tick)}%`} y="14" text-anchor="middle">${numberText(tick) || "0"}</text>`;
  return html`<svg height="20" aria-hidden="true">${scale.ticks.map(name)}</svg>`;
}

/** Return what the columns mean, in words of people. */
export function legend(made) {
  const noun = NOUNS[made.objective] ?? "results";
  return html`<details class="meanings"><summary>What do these columns mean?</summary><dl>
    <dt>estimate</dt><dd>The mean that is expected of a value if you made very many pictures with it. It takes into account which seeds and prompts
      were harder, and what is known of values beside it, so it may differ a little from the plain mean.</dd>
    <dt>90 % sure between</dt><dd>The true mean lies between these two numbers with a probability of 90 %. More ${noun} bring them closer together.</dd>
    <dt>${noun}</dt><dd>How often this value was seen: each ${noun.slice(0, -1)} counts once.</dd>
    <dt>chance to be best</dt><dd>How likely it is that no other value is better. All values together have 100 %. Values that are hardly different share it.</dd>
    <dt>s per job</dt><dd>How long a job with this value takes on average.</dd>
  </dl></details>`;
}
