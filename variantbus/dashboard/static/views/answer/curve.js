// The curve of an answer: estimates with their band over values that have an order, as in the report.

import { h, s } from "../../base/dom.js";
import { numberText } from "../../base/text.js";
import { valueKey, valueText } from "../../data/values.js";

const HEIGHT = 240; // px
const FEWEST = 3; // values; fewer are no curve
const LABELS = 15; // that can be read beside each other
const POSSIBLE = 0.05; // that a value is the best: less is ruled out

/** Return whether a value is hardly the best. */
export function isRuledOut(one) {
  return one.p_best !== null && one.p_best < POSSIBLE;
}

/** Return estimates with their places in the plan as `index`: numbers by size, all else in the order of the plan. */
export function inOrder(made) {
  const estimates = made.estimates.map((one, index) => ({ ...one, index }));
  if (!areNumbers(estimates)) return estimates;
  return estimates.sort((one, other) => (one.value < other.value ? -1 : one.value > other.value ? 1 : one.index - other.index));
}

function areNumbers(estimates) {
  return estimates.every((one) => typeof one.value === "number" || typeof one.value === "bigint");
}

/** Return the curve as an element; null if the values are no numbers, or too few. */
export function curve(made, name, points, scale) {
  if (made.estimates.length < FEWEST || !areNumbers(made.estimates)) return null;
  const order = inOrder(made);
  const across = (place) => (100 * (place + 0.5)) / order.length;
  const down = (number) => 100 - scale.at(number);
  const every = Math.ceil(order.length / LABELS);
  const marks = order.map((one, place) => ({ ...one, x: across(place), isChosen: made.value !== null && valueKey(made.value) === valueKey(one.value) }));
  return h(
    "figure",
    { class: "curve" },
    s(
      "svg",
      { height: HEIGHT, role: "img", "aria-label": `${made.objective} over ${name}` },
      scale.ticks.map((tick) => [
        s("line", { class: "tick", x1: 0, x2: "100%", y1: `${down(tick)}%`, y2: `${down(tick)}%` }),
        s("text", { class: "label", x: -8, y: `${down(tick)}%`, dy: ".3em", "text-anchor": "end" }, numberText(tick) || "0"),
      ]),
      s("svg", { width: "100%", height: "100%", viewBox: "0 0 100 100", preserveAspectRatio: "none" }, runs(marks).map((run) => drawn(run, down))),
      marks.map((one) => (points.get(one.index) ?? []).map((number) => s("circle", { class: "point", cx: `${one.x}%`, cy: `${down(number)}%`, r: 3 }))),
      marks.map((one, place) => [
        one.isChosen && s("line", { class: "best", x1: `${one.x}%`, x2: `${one.x}%`, y1: 0, y2: "100%" }),
        one.mean !== null && s("circle", { class: isRuledOut(one) && !one.isChosen ? "mean out" : "mean", cx: `${one.x}%`, cy: `${down(one.mean)}%`, r: 5 }),
        place % every === 0 && s("text", { class: "label", x: `${one.x}%`, y: "100%", dy: "1.6em", "text-anchor": "middle" }, valueText(one.value), one.isChosen ? " ★" : ""),
      ]),
    ),
    h("figcaption", {}, "The line is the estimate, and with a probability of 90 % the truth is in the band. Small points are single results; an empty circle is a value that is ruled out (less than 5 % that it is the best)."),
  );
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
  return [
    s("polygon", { class: "band", points: [...along((one) => one.high), ...along((one) => one.low).reverse()].join(" ") }),
    s("polyline", { class: "line", points: along((one) => one.mean).join(" ") }),
  ];
}
