// What a person sees who has no experiment yet: what this is, what it will look like, and two ways to begin.

import { html, svg } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { complain } from "../../base/toast.js";
import { get, post } from "../../data/api.js";

const COLUMNS = [0, 1, 2, 3, 4];
const ROWS = [0, 1, 2];
const BEST = 2; // the column that wins
const STAR = "M0 -15L4.4 -4.9L15 -4.6L6.6 2.2L9.3 12.6L0 6.8L-9.3 12.6L-6.6 2.2L-15 -4.6L-4.4 -4.9z";
const TURNS = ["rotate(-14)", "rotate(9)", "rotate(30)"]; // of the picture, by seed

/** Return what is shown in place of an empty list. */
export function welcome() {
  return html`<div class="welcome empty">
    <div class="words">
      <h1>Find the setting that is best</h1>
      <p>An experiment makes the same pictures under several values of a setting, such as the CFG scale, and shows them side by side.
        Rate them, or let a metric decide, and it tells you which value is best, and how sure that is.</p>
      <div class="row">
        <button class="primary" @click=${runExample}>${icon("play")}Run an example</button>
        <a class="button" href="#/new">${icon("plus")}New experiment</a>
      </div>
      <p class="facts">The example needs no other program and takes a few seconds. <a href=${linkTo([""], { archived: "1" })}>See what is archived</a></p>
    </div>
    ${drawing()}
  </div>`;
}

async function runExample(event) {
  const button = event.currentTarget;
  button.disabled = true;
  try {
    const [definition, { pipelines }] = await Promise.all([get("/api/example"), get("/api/pipelines")]);
    if (!pipelines[definition.pipeline]) throw new Error(`The example needs the pipeline ${definition.pipeline}, which this runner does not offer. Plan an experiment of your own.`);
    const view = await post("/api/experiments", { definition });
    if (button.isConnected) location.hash = linkTo(["e", view.experiment_id, "grid"]);
  } catch (error) {
    complain(error.message);
    button.disabled = false;
  }
}

/** A grid in which one column wins: too little of the setting is pale, too much is burnt. */
function drawing() {
  const cell = (column, row) => svg`<g transform=${`translate(${40 + 62 * column} ${62 + 62 * row})`}>
    <rect class=${`ground c${column}`} x="-27" y="-27" width="54" height="54" rx="4" />
    <path class=${`star c${column}`} d=${STAR} transform=${`${TURNS[row]} scale(${1 + 0.12 * column})`} />
  </g>`;
  const head = (column) => svg`<text class=${column === BEST ? "head best" : "head"} x=${40 + 62 * column} y="22">${["0.5", "1", "1.5", "4", "16"][column]}</text>`;
  return html`<svg class="drawing" viewBox="0 0 330 252" role="img" aria-label="A grid of pictures: a value a column, a seed a row; one column is marked as the best, with 88 percent">
    <rect class="winner" x=${40 + 62 * BEST - 31} y="4" width="62" height="216" rx="6" />
    ${COLUMNS.map(head)}${ROWS.map((row) => COLUMNS.map((column) => cell(column, row)))}
    <text class="head best" x=${40 + 62 * BEST} y="240">★ 88 %</text>
  </svg>`;
}
