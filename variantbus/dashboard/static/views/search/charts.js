// The charts of a search: what each job brought with the best so far, and at which values it looked.

import { html, svg } from "../../base/html.js";
import { numberText } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { scaleFor, scaleOfStars, shortened } from "../../experiment/scores.js";

const HEIGHT = 240; // px
const ROW = 22; // px of a value in a strip
const TALLEST = 330; // px
const LONGEST = 12; // characters of a value beside a strip
const LABELS = 16; // that can be read above each other
const HINT = "Each point is a job, in the order in which they ended. Point at one to read it; a click shows its picture.";
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

/** Return what a slider over the jobs listens to: arrows, the pointer, Enter and a click. */
function slider({ count, at, point, open }) {
  const place = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.min(count - 1, Math.max(0, Math.floor((count * (event.clientX - box.left)) / box.width)));
  };
  const now = at ?? count - 1;
  return {
    now,
    place,
    key: (event) => {
      if (event.key === "Enter") return open(now);
      if (STEPS[event.key] === undefined) return;
      event.preventDefault();
      point(Math.min(count - 1, Math.max(0, now + STEPS[event.key])));
    },
  };
}

/**
 * Return the results over the jobs, with the best so far.
 *
 * `winner` is the place of the value that leads; `at` the job that is pointed at, null for none; `text(one)` tells of a job.
 */
export function progress({ ended, budget, objective, winner, at, point, open, text }) {
  const scale = scaleOf(objective, ended);
  const most = Math.max(budget, ended.length);
  const { now, place, key } = slider({ count: most, at, point: (to) => point(Math.min(to, ended.length - 1)), open });
  const across = (number) => `${(100 * (number + 0.5)) / most}%`;
  const down = (number) => `${100 - scale.at(number)}%`;
  const known = ended.map((one, number) => ({ ...one, number })).filter((one) => one.score !== null);
  const told = at === null ? null : ended[at];
  return html`<figure class="chart"><h2>Best so far</h2>
    <svg height=${HEIGHT} role="slider" tabindex="0" aria-label="Results over the jobs" aria-valuemin="1" aria-valuemax=${most} aria-valuenow=${now + 1}
      aria-valuetext=${ended[now] ? text(ended[now], now, true) : "not made yet"} @keydown=${key} @focus=${() => at === null && point(ended.length - 1)} @blur=${() => point(null)}
      @pointermove=${(event) => point(place(event))} @pointerleave=${() => point(null)} @click=${(event) => open(place(event))}>
      <rect class="ground" width="100%" height="100%" />
      ${levels(scale, down)}${jobNumbers(most, across)}
      ${told ? svg`<line class="pointed" x1=${across(at)} x2=${across(at)} y1="0" y2="100%" />` : ""}
      <svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none"><polyline class="line" points=${stairs(ended, most, scale)} /></svg>
      ${known.map((one) => svg`<circle class=${one.variant === winner ? "mean" : "point"} cx=${across(one.number)} cy=${down(one.score)} r=${one.isBest ? 6 : 5} />`)}
    </svg>
    <p class="readout">${told ? text(told, at) : html`<span class="hint-of">${HINT}</span>`}</p>
    <figcaption>The line is the best single result so far. Points in colour are of the value that leads.</figcaption>
  </figure>`;
}

function scaleOf(objective, ended) {
  return objective === "stars" ? scaleOfStars() : scaleFor(ended.map((one) => one.score));
}

function levels(scale, down) {
  return scale.ticks.map((tick) => svg`<line class="tick" x1="0" x2="100%" y1=${down(tick)} y2=${down(tick)} />
    <text class="label" x="-8" y=${down(tick)} dy=".3em" text-anchor="end">${numberText(tick) || "0"}</text>`);
}

/** Return the numbers of some jobs. */
function jobNumbers(most, across) {
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((one) => most / one <= 12) ?? 1000;
  const numbers = Array.from({ length: most }, (_, number) => number + 1).filter((number) => number % every === 0);
  return numbers.map((number) => svg`<text class="label" x=${across(number - 1)} y="100%" dy="1.6em" text-anchor="middle">${number}</text>`);
}

/** Return the best so far as a line that goes up in steps. */
function stairs(ended, most, scale) {
  const found = [];
  let before = null;
  ended.forEach(({ best }, number) => {
    if (best === null) return;
    const [x, y] = [(100 * (number + 0.5)) / most, 100 - scale.at(best)];
    if (before !== null && before !== y) found.push(`${x},${before}`);
    found.push(`${x},${y}`);
    before = y;
  });
  return found.join(" ");
}

/** Return at which values of a variable it looked, one job after the other; `ahead` are those that run or wait. */
export function strip({ axis, ended, ahead, budget, winner, valueOf, open }) {
  const jobs = [...ended, ...ahead];
  const most = Math.max(budget, jobs.length);
  const places = new Map(axis.values.map((value, place) => [`${typeof value} ${value}`, place]));
  const height = Math.min(TALLEST, Math.max(3 * ROW, ROW * axis.values.length));
  const across = (number) => `${(100 * (number + 0.5)) / most}%`;
  const isNumber = axis.values.every((one) => typeof one === "number");
  const down = (value) => {
    const part = (places.get(`${typeof value} ${value}`) + 0.5) / axis.values.length;
    return `${100 * (isNumber ? 1 - part : part)}%`;
  };
  const every = Math.ceil(axis.values.length / LABELS);
  const best = winner === null ? undefined : axis.part(valueOf(winner));
  const dot = (one, number) => svg`<circle class=${`look ${one.state}${one.variant === winner ? " leads" : ""}`} cx=${across(number)}
    cy=${down(axis.part(valueOf(one.variant)))} r="5" @click=${() => open(number)} />`;
  return html`<figure class="chart strip"><h3>${axis.name}</h3>
    <svg height=${height} role="img" aria-label=${`The values of ${axis.name} at which it looked, job after job`}>
      ${axis.values.map((value, place) => svg`<line class="tick" x1="0" x2="100%" y1=${down(value)} y2=${down(value)} />
        ${place % every === 0 ? svg`<text class="label" x="-8" y=${down(value)} dy=".3em" text-anchor="end">${shortened(valueText(value), LONGEST)}</text>` : ""}`)}
      ${best === undefined ? "" : svg`<line class="best" x1="0" x2="100%" y1=${down(best)} y2=${down(best)} />`}
      ${jobs.map((one, number) => (valueOf(one.variant) === undefined ? "" : dot(one, number)))}
      ${jobNumbers(most, across)}
    </svg></figure>`;
}
