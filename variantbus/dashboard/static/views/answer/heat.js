// The map of two variables: a field for each combination, the stronger in colour the better, and which were tried. Of more variables two are
// chosen, while the others have the values of the answer.

import { html, live, svg } from "../../base/html.js";
import { numberText, percent } from "../../base/text.js";
import { valueKey, valueText } from "../../data/values.js";
import { differentValues, estimateText, isChosen, isMap, isMinimized, namedValue, shortened } from "../../experiment/scores.js";

const STEPS = 6; // shades
const MOST = 2000; // fields; more are no map
const NAMED = 400; // fields; of more none has its number in it
const ROW = 40; // px
const SMALL = 12; // px, of many rows
const LETTER = 11; // px of a letter in the name beside the rows
const LONGEST = 14; // characters of a value at an edge
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Return the names of the variables, the most important first; none of one variable. */
function namesOf(made) {
  const value = made.estimates[0]?.value;
  if (!isMap(value)) return [];
  const known = (made.effects ?? []).map((one) => one.name);
  return [...known, ...Object.keys(value).filter((name) => !known.includes(name))];
}

/** Return the fields of two variables: `{ columns, rows, fields }`, where a field is an estimate with its `x` and `y`. */
function fieldsOf(made, names, winner) {
  const [across, down] = names;
  const others = Object.keys(made.estimates[0].value).filter((name) => !names.includes(name));
  const of = (name) => differentValues(made.estimates.map((one) => one.value[name]));
  const columns = of(across);
  const rows = of(down);
  const place = (values) => new Map(values.map((value, at) => [valueKey(value), at]));
  const [xs, ys] = [place(columns), place(rows)];
  const isShown = (one) => others.every((name) => valueKey(one.value[name]) === valueKey(winner?.value[name]));
  const fields = made.estimates.map((one, index) => ({ ...one, index })).filter(isShown);
  return { columns, rows, fields: fields.map((one) => ({ ...one, x: xs.get(valueKey(one.value[across])), y: ys.get(valueKey(one.value[down])) })), others };
}

/**
 * Return the map, "" where there is none.
 *
 * `look` is `{ across, down, by, at }`: names or null, "estimate" or "chance", and the field that is pointed at, `[x, y]` or null.
 * `change(part)` is told of another look, `open(index)` of a click.
 */
export function heat({ made, winner, look, change, open }) {
  const names = namesOf(made);
  if (names.length < 2) return "";
  const across = names.includes(look.across) ? look.across : names[0];
  const down = names.includes(look.down) && look.down !== across ? look.down : names.find((name) => name !== across);
  const map = fieldsOf(made, [across, down], winner);
  if (map.columns.length * map.rows.length > MOST || map.fields.length < 2) return "";
  const choice = (label, name, now) => html`<label>${label} <select @change=${(event) => change({ [name]: event.target.value })}>
    ${names.map((one) => html`<option value=${one} .selected=${live(one === now)}>${one}</option>`)}</select></label>`;
  return html`<figure class="heat">
    <div class="bar"><h2>Every combination</h2><span class="space"></span>
      ${names.length > 2 ? [choice("across", "across", across), choice("down", "down", down)] : ""}
      <label>show <select @change=${(event) => change({ by: event.target.value })}>
        <option value="estimate" .selected=${live(look.by === "estimate")}>the estimate</option><option value="chance" .selected=${live(look.by === "chance")}>the chance to be best</option>
      </select></label></div>
    ${drawing({ map, made, across, down, look, change, open })}
    <figcaption>The stronger the colour, the better${rangeText(map, made, look.by)}.
      ${map.fields.every((one) => one.n) ? "" : "A field with a broken line was not tried: what stands there is expected from those around it."} ★ is the answer.
      ${map.others.length && winner ? `The others are as in the answer: ${map.others.map((name) => `${name} ${valueText(winner.value[name])}`).join(", ")}.` : ""}</figcaption>
  </figure>`;
}

function drawing({ map, made, across, down, look, change, open }) {
  const row = Math.max(map.rows.length > 20 ? SMALL : ROW, (LETTER * down.length) / map.rows.length); // the name beside it needs its place
  const byPlace = new Map(map.fields.map((one) => [`${one.x} ${one.y}`, one]));
  const [x, y] = look.at ?? [0, 0];
  const told = look.at && byPlace.get(`${x} ${y}`);
  const place = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
    return [at((event.clientX - box.left) / box.width, map.columns.length), at((event.clientY - box.top) / box.height, map.rows.length)];
  };
  const key = (event) => {
    if (event.key === "Enter") return told && open(told.index);
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    change({ at: [clamp(x + move[0], map.columns.length), clamp(y + move[1], map.rows.length)] });
  };
  const text = (one) => `${namedValue(one.value, "")}: ${estimateText(one, made.objective)}`;
  const value = look.at ? (told ? text(told) : "not one of the values") : "";
  return html`<div class="map"><span class="down">${down}</span>
      <div class="edge-y">${map.rows.map((one) => html`<span title=${valueText(one)}>${row < ROW ? "" : shortened(valueText(one), LONGEST)}</span>`)}</div>
      <svg height=${row * map.rows.length} role="slider" tabindex="0" aria-label=${`${made.objective} over ${across} and ${down}`}
        aria-valuemin="1" aria-valuemax=${map.columns.length * map.rows.length} aria-valuenow=${y * map.columns.length + x + 1} aria-valuetext=${value || "no field is pointed at"}
        @keydown=${key} @focus=${() => look.at ?? change({ at: first(map, made) })} @blur=${() => change({ at: null })}
        @pointermove=${(event) => change({ at: place(event) })} @pointerleave=${() => change({ at: null })}
        @click=${(event) => clicked(byPlace.get(place(event).join(" ")), open)}>${fields({ map, made, look, told })}</svg>
      <div class="edge-x">${map.columns.map((one) => html`<span title=${valueText(one)}>${map.columns.length > 30 ? "" : shortened(valueText(one), LONGEST)}</span>`)}</div>
      <span class="across">${across}</span></div>
    <p class="readout">${told ? readout(told, made) : html`<span class="hint-of">Point at a field to read it; a click shows its pictures.</span>`}</p>`;
}

function readout(one, made) {
  const chance = one.p_best === null ? "" : html` · ${percent(one.p_best)} that it is the best`;
  return html`<b>${namedValue(one.value, "")}</b> ${estimateText(one, made.objective)}${chance}`;
}

function clicked(field, open) {
  if (field) open(field.index);
}

function clamp(place, count) {
  return Math.min(count - 1, Math.max(0, place));
}

function first(map, made) {
  const best = map.fields.find((one) => isChosen(made, one)) ?? map.fields[0];
  return [best.x, best.y];
}

function fields({ map, made, look, told }) {
  const [low, high] = range(map, made, look.by);
  const isNamed = map.fields.length <= NAMED && map.columns.length <= 20;
  const [width, height] = [100 / map.columns.length, 100 / map.rows.length];
  return map.fields.map((one) => {
    const number = scored(one, look.by);
    const shade = number === null ? 0 : Math.min(STEPS - 1, Math.floor((STEPS * Math.abs(number - low)) / (Math.abs(high - low) || 1)));
    const kind = `field shade${number === null ? "-none" : shade}${one.n ? "" : " untried"}${one === told ? " told" : ""}`;
    const name = `${look.by === "chance" ? percent(one.p_best) : numberText(one.mean)}${isChosen(made, one) ? " ★" : ""}`;
    const text = ({ x, y }) => svg`<text class=${`in shade${shade}`} x=${`${(x + 0.5) * width}%`} y=${`${(y + 0.5) * height}%`}
      dy=".35em" text-anchor="middle">${name}</text>`;
    return svg`<rect class=${kind} x=${`${one.x * width}%`} y=${`${one.y * height}%`} width=${`${width}%`} height=${`${height}%`} rx="3" />
      ${isNamed || isChosen(made, one) ? text(one) : ""}`;
  });
}

function scored(one, by) {
  return by === "chance" ? one.p_best : one.mean;
}

function rangeText(map, made, by) {
  if (by === "chance") return "";
  const [worst, best] = range(map, made, by);
  return `: from ${numberText(worst) || 0} to ${numberText(best) || 0}`;
}

/** Return the worst and the best number of the fields. */
function range(map, made, by) {
  const numbers = map.fields.map((one) => scored(one, by)).filter((one) => one !== null);
  const ends = [Math.min(...numbers), Math.max(...numbers)];
  return by !== "chance" && isMinimized(made) ? ends.reverse() : ends;
}
