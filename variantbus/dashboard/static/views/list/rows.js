// The rows of the list: only those in sight exist, and each is as high as all others.

import { html, nothing, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { menu } from "../../base/menu.js";
import { linkTo } from "../../base/routes.js";
import { picture } from "../../data/api.js";
import { hasEnded } from "../../data/known.js";
import { knobsOf } from "../../data/settings.js";
import { endedJobs, timeLeft, variableText } from "../../experiment/facts.js";
import { chanceText, leaderText } from "../../experiment/leader.js";

const AROUND = 4; // rows above and below those in sight
const MOST_COUNTED = 1000; // of what waits for stars, as the service counts

/** Return which rows are in sight of a list in a scroller, each so many px high: `[first, behind the last]`. */
export function inSight(list, scroller, high, count) {
  const above = scroller.getBoundingClientRect().top - list.getBoundingClientRect().top;
  const first = Math.max(0, Math.min(count, Math.floor(above / high) - AROUND));
  const last = Math.min(count, Math.ceil((above + scroller.clientHeight) / high) + AROUND);
  return [first, Math.max(first, last)];
}

/** Return how high a row is with the gap below it, in px. */
export function heightOf(list) {
  const { gridAutoRows, rowGap } = getComputedStyle(list);
  return parseFloat(gridAutoRows) + (parseFloat(rowGap) || 0);
}

/**
 * Return the rows of some experiments: `{ ids, first, total, rows, chosen, owners, choose, act }`.
 *
 * `first` is the place of the first one in the whole list; `rows` has what is known by id; `chosen` the ids that are
 * selected; `choose(id, isChosen)` and `act(what, row)` are called by them.
 */
export function rowsOf(ids, given) {
  return repeat(ids, (id) => id, (id, at) => rowOf(id, given.first + at, given));
}

function rowOf(id, at, { total, rows, chosen, owners, choose, act }) {
  const row = rows.get(id);
  const name = row?.experiment.experiment_name ?? id;
  if (!owners.has(id)) owners.set(id, {});
  return html`<li class=${chosen.has(id) ? "card chosen" : "card"} data-id=${id} aria-posinset=${at + 1} aria-setsize=${total}>
    <label class="box"><input type="checkbox" aria-label=${`Select ${name}`} .checked=${chosen.has(id)} @change=${(event) => choose(id, event.target.checked)} /></label>
    <span class="who">
      <a class="name" href=${linkTo(["e", id, "grid"])} draggable="false">${name}</a>
      <span class="what">${row ? whatText(row.experiment) : "…"}</span>
    </span>
    ${row ? [strip(row), outcome(row), when(row.experiment), menu(owners.get(id), `More for ${name}`, actions(row, act))] : nothing}
  </li>`;
}

function whatText({ definition, totals, search }) {
  const values = search || definition.mode === "adaptive" ? `search, ${totals.variants} tried` : `${totals.variants} ${totals.variants === 1 ? "value" : "values"}`;
  return [knobsOf(definition).length ? variableText(definition) : "", values].filter(Boolean).join(" · ");
}

function strip({ images }) {
  const tile = (one) => html`<img src=${picture(one.sha256)} alt="" decoding="async" draggable="false" @error=${(event) => (event.target.hidden = true)} />`;
  return html`<span class="strip">${repeat(images, (one) => one.sha256, tile)}</span>`;
}

function outcome(row) {
  const { experiment: status, leader } = row;
  const failed = status.totals.failed ? html`<span class="error">${status.totals.failed} failed</span>` : nothing;
  const chip = html`<span class=${`chip ${status.status}`}>${status.status}</span>`;
  return html`<span class="outcome">
    ${leader ? html`<span class="item leader" title="leads, with the chance that it is the best">${icon("trophy")}<b>${leaderText(status.definition, leader)}</b><span>${chanceText(leader)}</span></span>` : nothing}
    <span class="item">${chip}${hasEnded(status) ? nothing : running(status)}${failed}</span>
    ${waits(row)}
  </span>`;
}

function running(status) {
  const ended = endedJobs(status);
  return html`<progress max=${Math.max(1, status.totals.jobs)} value=${ended} aria-label=${`${ended} of ${status.totals.jobs} jobs have ended`}></progress>
    <span class="count">${ended}/${status.totals.jobs}</span>`;
}

function waits(row) {
  const [left, text] = [timeLeft(row.experiment), waitsText(row)];
  if (!left && !text) return nothing;
  const link = html`<a class="waits" href=${linkTo(["e", row.experiment.experiment_id, "rate"])}>${icon("star")}${text}</a>`;
  return html`<span class="item minor">${text ? link : nothing}${left ? html`<span>${left}</span>` : nothing}</span>`;
}

function waitsText({ experiment: status, unrated, leader }) {
  if (unrated) return `${unrated >= MOST_COUNTED ? `${MOST_COUNTED}+` : unrated} ${unrated === 1 ? "waits" : "wait"} for your stars`;
  const isCompared = status.definition.objective === "preference" && status.totals.completed > 1;
  return isCompared && leader?.tier !== "strong" ? "waits for your comparisons" : "";
}

function when(status) {
  const made = new Date(status.created_at * 1000);
  return html`<time class="when" datetime=${made.toISOString()}>${made.toLocaleString([], { dateStyle: "short", timeStyle: "short" })}</time>`;
}

function actions(row, act) {
  const { experiment_id: id, archived } = row.experiment;
  return [
    { text: "Run again with changes", icon: "retry", href: linkTo(["new"], { from: id }) },
    { text: archived ? "Take out of the archive" : "Archive", icon: "archive", act: () => act("archive", row) },
    { text: "Delete …", icon: "trash", isDangerous: true, act: () => act("delete", row) },
  ];
}
