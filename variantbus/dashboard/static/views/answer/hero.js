// The winner beside the runner-up: pictures of the same seed and prompt, and what is known of each in plain words.

import { html } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { percent } from "../../base/text.js";
import { picture } from "../../data/api.js";
import { cellKey, state } from "../../data/state.js";
import { conditionText } from "../../data/values.js";
import { counted, estimateText, isChosen, meaningOf, namedValue } from "../../experiment/scores.js";
import { fileName, hasPicture, kindOf } from "../../results/media.js";

const BARS = 4; // values whose chances are compared

/** Return the repeats under which the winner has results, those that the rival has, too, first; in order of seeds. */
export function sharedRepeats(winner, rival, repeats) {
  const has = (one, repeat) => one && state.open.cells.get(cellKey(one.index, repeat))?.images.length;
  const mine = repeats.filter((repeat) => has(winner, repeat));
  const both = mine.filter((repeat) => has(rival, repeat));
  return both.length ? both : mine;
}

/** Return the first result of a value under a seed, null if there is none. */
export function resultOf(one, repeat) {
  return (one && state.open.cells.get(cellKey(one.index, repeat))?.images[0]) ?? null;
}

/** Return both with their pictures; `turn(step)` shows those of another seed. */
export function pair({ id, made, winner, rival, repeats, at, variable, turn }) {
  const definition = state.open.status?.definition;
  const repeat = repeats[at];
  const draw = (one, kind) => figure({ id, made, one, kind, repeat, variable, definition });
  return html`<div class=${rival ? "rivals" : "rivals alone"}>${draw(winner, "winner")}${rival ? draw(rival, "rival") : ""}</div>
    ${repeat === undefined ? "" : html`<div class="seeds">
      <button class="plain" aria-label="The seed before" ?disabled=${repeats.length < 2} @click=${() => turn(-1)}>${icon("left")}</button>
      <span role="status">both with ${conditionText(definition, repeat)}${repeats.length > 1 ? html` <small>${at + 1} of ${repeats.length}</small>` : ""}</span>
      <button class="plain" aria-label="The next seed" ?disabled=${repeats.length < 2} @click=${() => turn(1)}>${icon("right")}</button>
    </div>`}`;
}

/** Return how likely the likeliest values are the best: that of the winner large, then bars. */
export function chances(made, winner) {
  const likely = made.estimates.filter((one) => one.p_best !== null).sort((one, other) => other.p_best - one.p_best);
  if (winner.p_best === null) return "";
  const bar = (one) => html`<li class=${isChosen(made, one) ? "chosen" : ""}><span>${namedValue(one.value, "")}</span>
    <svg height="12" aria-hidden="true"><rect class="rail" width="100%" height="12" rx="3" /><rect class="amount" width=${`${100 * one.p_best}%`} height="12" rx="3" /></svg>
    <span>${percent(one.p_best)}</span></li>`;
  const seen = made.estimates.reduce((sum, one) => sum + one.n, 0);
  const from = made.objective === "preference" ? "" : `, from ${counted(seen, made.objective)}`; // a comparison is one of two values
  return html`<p class="chance-big"><b>${percent(winner.p_best)}</b> chance to be the best${from}</p>
    ${likely.length > 1 ? html`<ul class="bars-of">${likely.slice(0, BARS).map(bar)}</ul>` : ""}`;
}

function figure({ id, made, one, kind, repeat, variable, definition }) {
  const name = namedValue(one.value, variable);
  const image = repeat === undefined ? null : resultOf(one, repeat);
  const settings = meaningOf(definition, variable, one.value);
  const link = linkTo(["e", id, "grid", ...(image ? [cellKey(one.index, repeat)] : [])]);
  return html`<figure class=${kind === "winner" && leads(made) ? "winner leads" : kind}>
    ${repeat === undefined ? "" : html`<a href=${link} aria-label=${`Open ${name}`}>${image ? shown(image, name) : html`<span class="word">no result with this seed</span>`}</a>`}
    <figcaption>
      <b>${kind === "winner" && leads(made) && made.tier !== "few" ? icon("trophy") : ""}${name}</b>
      ${one.p_best === null ? "" : html`<span class="chance" title="The chance that it is the best value">${percent(one.p_best)}</span>`}
      ${settings ? html`<small>${settings}</small>` : ""}
      <small>${estimateText(one, made.objective)}</small>
    </figcaption>
  </figure>`;
}

/** Return whether there is an answer that names a value: before, its picture is one like all others. */
function leads(made) {
  return made.tier !== "none";
}

/** Return a result in full; of what no browser shows, such as TIFF, and of videos and sounds, the small picture. */
function shown(image, name) {
  if (!hasPicture(image)) return html`<span class="word">${fileName(image)}</span>`;
  const small = (event) => {
    if (!event.target.src.endsWith("thumbnail=1")) event.target.src = picture(image.sha256);
  };
  return html`<img src=${picture(image.sha256, kindOf(image) !== "picture")} alt=${`A picture made with ${name}`} @error=${small} />`;
}
