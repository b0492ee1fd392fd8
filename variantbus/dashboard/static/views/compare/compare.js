// Two or more experiments side by side: the winner of each, their estimates on one scale, and what differs in their settings.

import { html, nothing, render, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { percent } from "../../base/text.js";
import { get, of, picture } from "../../data/api.js";
import { hasEnded } from "../../data/known.js";
import { endedJobs, inShort, timeLeft, variableText } from "../../experiment/facts.js";
import { estimateText, isMap, namedValue } from "../../experiment/scores.js";
import { headline, rivals } from "../../experiment/verdict.js";
import { kindOf } from "../../results/media.js";
import { legendMark, overValues, winnersOnOneScale } from "./charts.js";
import { commonObjective, groupsOf, settingsOf } from "./differences.js";

const MOST = 6; // experiments; more cannot be told apart
const AGAIN = 4000; // ms, while one of them runs
const LATER = 60; // s after its end in which an answer may still change

export function compareView({ part }) {
  let timer = 0;
  let isClosed = false;
  let isAsking = false;
  let isAll = false; // settings: also those that are the same
  const ids = [...new Set(part)].filter(Boolean).slice(0, MOST);
  const found = new Map(); // id -> view, or an Error
  const element = document.createElement("section");
  element.className = "comparison";

  async function load() {
    if (isAsking || ids.length < 2) return;
    isAsking = true;
    clearTimeout(timer);
    const asked = ids.map((id) => get(of(id)).then((view) => found.set(id, view), (error) => found.get(id)?.definition || found.set(id, error)));
    await Promise.all(asked);
    isAsking = false;
    if (isClosed) return;
    draw();
    const mayChange = ids.some((id) => found.get(id) instanceof Error || !hasEnded(found.get(id)) || Date.now() / 1000 - found.get(id).updated_at < LATER);
    if (mayChange) timer = setTimeout(load, AGAIN);
  }

  function draw() {
    const there = ids.map((id) => found.get(id)).filter((one) => one?.definition);
    document.title = `${there.length ? there.map((one) => one.experiment_name).join(", ") : "Compare"} – variantbus`;
    render(html`<div class="bar"><h1>Compare</h1><a class="button" href="#/">${icon("list")}Choose others</a></div>${body(there)}`, element);
  }

  function body(there) {
    if (ids.length < 2) return html`<p class="empty">Select two or more experiments in <a href="#/">the list</a>, and press Compare.</p>`;
    const compared = there.map((view) => ({ view, place: ids.indexOf(view.experiment_id), ...answerOf(view) }));
    return html`<div class="peers">${repeat(ids, (id) => id, (id) => card(id, compared.find((one) => one.view.experiment_id === id)))}</div>
      ${compared.length > 1 ? [scales(compared), differences(compared, { isAll, turn })] : nothing}`;
  }

  function turn() {
    isAll = !isAll;
    draw();
  }

  function card(id, one) {
    const others = ids.filter((other) => other !== id);
    const close = html`<a class="button plain" href=${linkTo(["compare", ...others])} title="Leave it out" aria-label=${`Leave ${one?.view.experiment_name ?? id} out`}>${icon("close")}</a>`;
    const place = ids.indexOf(id);
    if (!one) return html`<article class=${`series s${place}`}><h2>${legendMark(place)}<span>${id}</span>${close}</h2><p>${missing(found.get(id))}</p></article>`;
    const { view, made, winner, variable } = one;
    return html`<article class=${`series s${place}`}>
      <h2>${legendMark(place)}<a href=${linkTo(["e", id, "answer"])}>${view.experiment_name}</a>${close}</h2>
      ${best(view, winner, variable)}
      <p class="finding">${made ? headline(made, winner, variable) : "No answer yet"}</p>
      ${winner ? html`<p>${[winner.p_best === null ? "" : `${percent(winner.p_best)} that it is the best`, estimateText(winner, made.objective)].filter(Boolean).join(" · ")}</p>` : nothing}
      <p class="facts"><span class=${`chip ${view.status}`}>${view.status}</span> ${[`${endedJobs(view)} of ${view.totals.jobs} jobs`, timeLeft(view), secondsText(view)].filter(Boolean).join(" · ")}</p>
      <p class="facts inshort">${inShort(view.definition).join(" · ")}</p>
    </article>`;
  }

  draw();
  return {
    element,
    update: (changes) => (changes.has("all") || changes.has("connection")) && load(),
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/** Return what an experiment's answer is: its winner, and the name of what varies unless the values name it themselves. */
function answerOf(view) {
  const made = view.recommendation ?? null;
  const winner = made ? rivals(made).winner : null;
  return { made, winner, variable: isMap(view.variants[0]?.variant_value) ? "" : variableText(view.definition) };
}

/** What the same decides stands on one scale, and what varies the same over the same values. */
function scales(compared) {
  const won = compared.filter((one) => one.winner);
  const metric = commonObjective(won.map((one) => one.made));
  const groups = groupsOf(compared.map((one) => one.view)).filter((places) => places.length > 1);
  const series = (one) => ({ place: one.place, name: one.view.experiment_name, ...one });
  return html`${won.length > 1 && metric ? html`<h2>The winners by ${metric}</h2>${winnersOnOneScale(won.map(series))}` : nothing}
    ${won.length > 1 && !metric ? html`<p class="facts">Different things decide them (${[...new Set(won.map((one) => one.made.objective))].join(", ")}), so their scores cannot stand on one scale.</p>` : nothing}
    ${groups.map((places) => html`<h2>Over ${variableText(compared[places[0]].view.definition)}</h2>
      <ul class="legend-of">${places.map((at) => html`<li class=${`series s${compared[at].place}`}>${legendMark(compared[at].place)}${compared[at].view.experiment_name}</li>`)}</ul>
      ${overValues({ variable: variableText(compared[places[0]].view.definition), series: places.map((at) => series(compared[at])) })}`)}`;
}

/** What differs in their settings, and on demand also what does not: `turn` is for its button. */
function differences(compared, { isAll, turn }) {
  const rows = settingsOf(compared.map((one) => one.view.definition));
  const shown = isAll ? rows : rows.filter((row) => !row.isSame);
  const same = rows.length - rows.filter((row) => !row.isSame).length;
  const cells = (row) => html`<tr class=${row.isSame ? "same" : ""}><th scope="row">${row.name}</th>${row.texts.map((text) => html`<td>${text}</td>`)}</tr>`;
  return html`<h2>What differs</h2>
    ${shown.length
      ? html`<div class="wide" role="region" aria-label="Settings" tabindex="0"><table class="settings">
          <thead><tr><td></td>${compared.map((one) => html`<th scope="col" class=${`series s${one.place}`}>${legendMark(one.place)}${one.view.experiment_name}</th>`)}</tr></thead>
          <tbody>${shown.map(cells)}</tbody></table></div>`
      : html`<p>Nothing: their settings are the same.</p>`}
    ${same ? html`<button @click=${turn}>${isAll ? "Show what differs" : `Show ${same} more that ${same === 1 ? "is" : "are"} the same`}</button>` : nothing}`;
}

/** The first result of the winner that has a picture. */
function best(view, winner, variable) {
  const image = winner && view.variants[winner.index]?.images.find((one) => ["picture", "video"].includes(kindOf(one)));
  if (!image) return html`<div class="best-of none">${icon("image")}</div>`;
  const name = namedValue(winner.value, variable);
  return html`<a class="best-of" href=${linkTo(["e", view.experiment_id, "grid"])}><img src=${picture(image.sha256, kindOf(image) === "video")} alt=${`${view.experiment_name}: ${name}`} decoding="async" /></a>`;
}

function secondsText(view) {
  const times = view.variants.filter((one) => one.duration_mean).map((one) => [one.duration_mean * one.completed, one.completed]);
  const [seconds, count] = times.reduce(([all, jobs], [more, some]) => [all + more, jobs + some], [0, 0]);
  return count ? `${Number((seconds / count).toPrecision(2))} s a job` : "";
}

function missing(error) {
  if (!error) return "…";
  return error.status === 404 ? "There is no such experiment; it may have been deleted." : error.message;
}
