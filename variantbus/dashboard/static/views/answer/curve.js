// The curve of an answer: estimates with their band over values that have an order, as in the report.
// It is a slider for a keyboard: arrows go from value to value, Enter opens the pictures.

import { html, svg } from "../../base/html.js";
import { numberText, percent } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { areNumbers, estimateText, inOrder, isChosen, isRuledOut, namedValue } from "../../experiment/scores.js";

const HEIGHT = 240; // px
const FEWEST = 3; // values; fewer are no curve
const LABELS = 15; // that can be read beside each other
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

/** Return whether an answer has a curve: its values are numbers, and enough of them. */
export function hasCurve(made) {
  return made.estimates.length >= FEWEST && areNumbers(made.estimates);
}

/**
 * Return the curve.
 *
 * `at` is the place of the value that is pointed at, null for none; `point(place)` is told of another one, `open(index)` of a click.
 */
export function curve({ made, variable, points, scale, at, point, open }) {
  const order = inOrder(made);
  const across = (place) => (100 * (place + 0.5)) / order.length;
  const down = (number) => 100 - scale.at(number);
  const marks = order.map((one, place) => ({ ...one, x: across(place), isBest: isChosen(made, one) }));
  const best = marks.findIndex((one) => one.isBest);
  const now = at ?? Math.max(0, best);
  const told = at === null ? null : marks[at];
  const key = (event) => {
    if (event.key === "Enter") return open(marks[now].index);
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    point(Math.min(marks.length - 1, Math.max(0, now + step)));
  };
  return html`<figure class="chart curve">
    <svg height=${HEIGHT} role="slider" tabindex="0" aria-label=${`${made.objective} over ${variable}`} aria-valuemin="1" aria-valuemax=${marks.length}
      aria-valuenow=${now + 1} aria-valuetext=${`${namedValue(marks[now].value, variable)}: ${estimateText(marks[now], made.objective)}`}
      @keydown=${key} @focus=${() => at === null && point(now)} @blur=${() => point(null)}
      @pointermove=${(event) => point(placeOf(event, marks.length))} @pointerleave=${() => point(null)}
      @click=${(event) => open(marks[placeOf(event, marks.length)].index)}>
      <rect class="ground" width="100%" height="100%" />
      ${scale.ticks.map((tick) => level(tick, down))}
      ${told ? svg`<line class="pointed" x1=${`${told.x}%`} x2=${`${told.x}%`} y1="0" y2="100%" />` : ""}
      <svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">${runs(marks).map((run) => drawn(run, down))}</svg>
      ${marks.map((one) => (points.get(one.index) ?? []).map((number) => svg`<circle class="point" cx=${`${one.x}%`} cy=${`${down(number)}%`} r="3" />`))}
      ${marks.map((one, place) => mark(one, place, { down, every: Math.ceil(marks.length / LABELS), isTold: place === at }))}
    </svg>
    <p class="readout">${told ? readout(told, made, variable) : html`<span class="hint-of">Point at a value to read it; a click shows its pictures.</span>`}</p>
    <figcaption>${variable}. The line is the estimate; with a probability of 90 % the truth is in the band. Small points are single results; an empty
      circle is a value that is ruled out: less than 5 % that it is the best.</figcaption>
  </figure>`;
}

function readout(one, made, variable) {
  const chance = one.p_best === null ? "" : html` · ${percent(one.p_best)} that it is the best`;
  return html`<b>${namedValue(one.value, variable)}</b> ${estimateText(one, made.objective)}${chance}`;
}

/** Return over which of so many values the pointer is. */
function placeOf(event, count) {
  const box = event.currentTarget.getBoundingClientRect();
  return Math.min(count - 1, Math.max(0, Math.floor((count * (event.clientX - box.left)) / box.width)));
}

function level(tick, down) {
  return svg`<line class="tick" x1="0" x2="100%" y1=${`${down(tick)}%`} y2=${`${down(tick)}%`} />
    <text class="label" x="-8" y=${`${down(tick)}%`} dy=".3em" text-anchor="end">${numberText(tick) || "0"}</text>`;
}

function mark(one, place, { down, every, isTold }) {
  const x = `${one.x}%`;
  const kind = `mean${isRuledOut(one) && !one.isBest ? " out" : ""}${isTold ? " told" : ""}`;
  const name = place % every === 0 || one.isBest;
  return svg`${one.isBest ? svg`<line class="best" x1=${x} x2=${x} y1="0" y2="100%" />` : ""}
    ${one.mean === null ? "" : svg`<circle class=${kind} cx=${x} cy=${`${down(one.mean)}%`} r=${isTold ? 7 : 5} />`}
    ${name ? svg`<text class="label" x=${x} y="100%" dy="1.6em" text-anchor="middle">${valueText(one.value)}${one.isBest ? " ★" : ""}</text>` : ""}`;
}

/** Return the values that have an estimate, in runs without a gap. */
function runs(marks) {
  const found = [[]];
  for (const one of marks) {
    if (one.mean !== null) found.at(-1).push(one);
    else if (found.at(-1).length) found.push([]);
  }
  return found.filter((run) => run.length);
}

function drawn(run, down) {
  const along = (of) => run.filter((one) => of(one) !== null).map((one) => `${one.x},${down(of(one))}`);
  return svg`<polygon class="band" points=${[...along((one) => one.high), ...along((one) => one.low).reverse()].join(" ")} />
    <polyline class="line" points=${along((one) => one.mean).join(" ")} />`;
}
