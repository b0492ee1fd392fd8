// What better values cost in time: all values by their seconds and their estimate, and the front of those that are worth it.

import { html, svg } from "../../base/html.js";
import { numberText } from "../../base/text.js";
import { valueKey } from "../../data/values.js";
import { isChosen, namedValue, scaleFor, scoreText, shortened, valueInShort } from "../../experiment/scores.js";

const HEIGHT = 220; // px
const LONGEST = 18; // characters of a name in the chart

/** Return the chart, "" where no better value takes longer. */
export function tradeOff({ made, variable, variants, scale, open }) {
  const front = made.pareto ?? [];
  if (front.length < 2) return "";
  const known = made.estimates.map((one, index) => ({ ...one, index, seconds: variants.get(index)?.duration_mean ?? null }));
  const all = known.filter((one) => one.n && one.mean !== null && one.seconds !== null);
  const time = scaleFor([0, ...all.map((one) => one.seconds)]);
  const down = (number) => `${100 - scale.at(number)}%`;
  const across = (number) => `${time.at(number)}%`;
  const onFront = new Set(front.map((one) => valueKey(one.value)));
  const line = front.map((one) => `${time.at(one.seconds)},${100 - scale.at(one.mean)}`).join(" ");
  const dot = (one) => svg`<circle class=${onFront.has(valueKey(one.value)) ? "mean" : "mean out"} cx=${across(one.seconds)} cy=${down(one.mean)} r="5">
    <title>${namedValue(one.value, variable)}</title></circle>`;
  const name = (one) => svg`<text class="label name" x=${across(one.seconds)} y=${down(one.mean)} dy="-.8em" text-anchor="middle">
    ${shortened(valueInShort(one.value), LONGEST)}${isChosen(made, one) ? " ★" : ""}</text>`;
  return html`<figure class="chart tradeoff"><h2>Quality and time</h2>
    <svg height=${HEIGHT} role="group" aria-label=${`${made.objective} over seconds per job`}>
      ${scale.ticks.map((tick) => svg`<line class="tick" x1="0" x2="100%" y1=${down(tick)} y2=${down(tick)} />
        <text class="label" x="-8" y=${down(tick)} dy=".3em" text-anchor="end">${numberText(tick) || "0"}</text>`)}
      ${time.ticks.map((tick) => svg`<text class="label" x=${across(tick)} y="100%" dy="1.6em" text-anchor="middle">${numberText(tick) || 0} s</text>`)}
      <svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none"><polyline class="line" points=${line} /></svg>
      ${all.map(dot)}${front.map(name)}
    </svg>
    <ul class="front">${front.map((one) => choice(one, { made, variable, open, known }))}</ul>
    <figcaption>Each of these is better than those that are faster, and no other value is noticeably better in as little time.</figcaption>
  </figure>`;
}

function choice(one, { made, variable, open, known }) {
  const index = known.find((other) => valueKey(other.value) === valueKey(one.value))?.index;
  return html`<li><button class="plain value" @click=${() => open(index)}>${namedValue(one.value, variable)}${isChosen(made, one) ? " ★" : ""}</button>
    <span>${numberText(one.seconds)} s, ${scoreText(one.mean, made.objective)}</span></li>`;
}
