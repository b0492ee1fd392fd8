// Estimates of several experiments on one scale: a line for each experiment, or its points where values have no order.

import { html, svg } from "../../base/html.js";
import { numberText } from "../../base/text.js";
import { estimateText, namedValue, scaleFor, scaleOf, shortened } from "../../experiment/scores.js";
import { valueKey, valueText } from "../../data/values.js";
import { valuesOf } from "./differences.js";

const HEIGHT = 260; // px
const LINE = 36;
const APART = 1.2; // percent between the points of two experiments at one value
const LABELS = 15; // that can be read beside each other
const LONGEST = 14; // characters of one
const SIZE = 6; // of a mark, so that experiments differ without their colours

/** Return the mark of an experiment by its place: another form for each, beside another colour. */
function markOf(place, x = 8, y = 8) {
  const at = (dx, dy) => `${x + dx * SIZE},${y + dy * SIZE}`;
  const forms = [
    [at(-0.9, -0.9), at(0.9, -0.9), at(0.9, 0.9), at(-0.9, 0.9)],
    [at(0, -1.25), at(1.25, 0), at(0, 1.25), at(-1.25, 0)],
    [at(0, -1.2), at(1.15, 0.85), at(-1.15, 0.85)],
    [at(0, 1.2), at(1.15, -0.85), at(-1.15, -0.85)],
    [at(-0.4, -1.2), at(0.4, -1.2), at(0.4, 1.2), at(-0.4, 1.2)],
  ];
  const form = forms[place - 1];
  return form ? svg`<polygon class="form" points=${form.join(" ")} />` : svg`<circle class="form" cx=${x} cy=${y} r=${SIZE} />`;
}

/** Return the estimates of experiments that vary the same: `{ variable, series: [{ place, name, made }] }`. */
export function overValues({ variable, series }) {
  const answers = series.map((one) => one.made);
  const { areNumbers, values } = valuesOf(answers);
  const scale = commonScale(answers);
  const places = new Map(values.map((value, place) => [valueKey(value), place]));
  const down = (number) => 100 - scale.at(number);
  const every = Math.ceil(values.length / LABELS);
  const lines = series.map((one, at) => ({ ...one, marks: marksOf(one.made, places, values.length, areNumbers ? 0 : APART * (at - (series.length - 1) / 2)) }));
  return html`<figure class="chart over">
    <svg height=${HEIGHT} role="img" aria-label=${`${answers[0].objective} over ${variable}: ${series.map((one) => one.name).join(", ")}`}>
      ${scale.ticks.map((tick) => svg`<line class="tick" x1="0" x2="100%" y1=${`${down(tick)}%`} y2=${`${down(tick)}%`} />
        <text class="label" x="-8" y=${`${down(tick)}%`} dy=".3em" text-anchor="end">${numberText(tick) || "0"}</text>`)}
      ${areNumbers ? lines.map((one) => band(one, down)) : ""}
      ${lines.map((one) => one.marks.map((mark) => point(one, mark, down)))}
      ${values.map((value, place) => (place % every ? "" : svg`<text class="label" x=${`${(100 * (place + 0.5)) / values.length}%`} y="100%" dy="1.6em" text-anchor="middle">${shortened(valueText(value), LONGEST)}</text>`))}
    </svg>
    <figcaption>${variable}: estimates with the interval in which the truth is with a probability of 90 %.</figcaption>
  </figure>`;
}

/** Return the winners of experiments that the same decides, one below the other: `winners` are `{ place, name, winner, made, variable }`. */
export function winnersOnOneScale(winners) {
  const scale = commonScale(winners.map((one) => one.made), winners.map((one) => one.winner));
  const at = (number) => `${scale.at(number)}%`;
  const row = ({ place, name, winner, made, variable }) => html`<li class=${`series s${place}`}>
    <span class="who">${legendMark(place)}<b>${name}</b> ${namedValue(winner.value, variable)}</span>
    <svg height=${LINE} role="img" aria-label=${`${name}: ${estimateText(winner, made.objective)}`}>
      ${scale.ticks.map((tick) => svg`<line class="tick" x1=${at(tick)} x2=${at(tick)} y1="0" y2="100%" />`)}
      ${winner.low === null ? "" : svg`<line class="interval" x1=${at(winner.low)} x2=${at(winner.high)} y1="50%" y2="50%" />`}
      <svg x=${at(winner.mean)} y="50%" overflow="visible">${markOf(place, 0, 0)}</svg>
    </svg>
    <span class="says">${estimateText(winner, made.objective)}</span>
  </li>`;
  return html`<ul class="winners">${winners.map(row)}
    <li class="scale"><span></span><svg height="20" role="presentation">${scale.ticks.map((tick) => svg`<text class="label" x=${at(tick)} y="14" text-anchor="middle">${numberText(tick) || "0"}</text>`)}</svg><span></span></li>
  </ul>`;
}

/** Return the mark of an experiment for a legend. */
export function legendMark(place) {
  return html`<svg class="sign" width="16" height="16" aria-hidden="true">${markOf(place)}</svg>`;
}

function commonScale(answers, estimates = answers.flatMap((made) => made.estimates)) {
  const [made] = answers;
  if (["stars", "preference"].includes(made.objective)) return scaleOf(made, new Map());
  return scaleFor(estimates.flatMap((one) => [one.mean, one.low, one.high]));
}

function marksOf(made, places, count, aside) {
  const marks = made.estimates.filter((one) => one.mean !== null);
  return marks.map((one) => ({ ...one, x: (100 * (places.get(valueKey(one.value)) + 0.5)) / count + aside })).sort((one, other) => one.x - other.x);
}

function band({ place, marks }, down) {
  const along = (number) => marks.filter((one) => number(one) !== null).map((one) => `${one.x},${down(number(one))}`);
  return svg`<svg class=${`series s${place}`} width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">
    <polygon class="band" points=${[...along((one) => one.high), ...along((one) => one.low).reverse()].join(" ")} />
    <polyline class="line" points=${along((one) => one.mean).join(" ")} />
  </svg>`;
}

function point({ place, made, name }, mark, down) {
  return svg`<g class=${`series s${place}`}>
    ${mark.low === null ? "" : svg`<line class="whisker" x1=${`${mark.x}%`} x2=${`${mark.x}%`} y1=${`${down(mark.low)}%`} y2=${`${down(mark.high)}%`} />`}
    <svg x=${`${mark.x}%`} y=${`${down(mark.mean)}%`} overflow="visible"><title>${name}, ${valueText(mark.value)}: ${estimateText(mark, made.objective)}</title>${markOf(place, 0, 0)}</svg>
  </g>`;
}
