// A search: what it does now and why, the best so far, where it looked, what is left of its budget, and why it ended.

import { confirm } from "../../base/dialog.js";
import { html, render } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { durationText, percent } from "../../base/text.js";
import { complain, say } from "../../base/toast.js";
import { of, picture, post } from "../../data/api.js";
import { state } from "../../data/state.js";
import { conditionText, valueText } from "../../data/values.js";
import { isMinimized, namedValue, scoreText, shortened, variableOf } from "../../experiment/scores.js";
import { headline, rivals } from "../../experiment/verdict.js";
import { progress, strip } from "./charts.js";
import { axesOf, stepsOf } from "./steps.js";

const PAUSE = 400; // ms between two drawings while jobs end by the dozen
const LIKELY = 6; // values that are named
const ROWS = 20; // of the table, unless all are wanted
const GOAL = 0.9; // probability at which a search ends, unless its definition says another
const ENDS = { decided: "Decided", exhausted: "Budget spent", stopped: "Stopped", searching: "Searching" };
const CHIPS = { decided: "completed", exhausted: "partial", stopped: "cancelled", searching: "running" };

export class SearchView {
  constructor(id) {
    this.id = id;
    this.element = document.createElement("section");
    this.element.className = "searching charts";
    [this.top, this.chart, this.rest] = ["top", "chart", "rest"].map(() => this.element.appendChild(document.createElement("div")));
    this.known = null;
    this.pointed = null; // place of a job
    this.isAll = false;
    this.timer = 0;
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    const status = state.open?.status;
    if (!status) return;
    if (!status.search) return render(none(this.id), this.top);
    this.known = factsOf(status, state.open.recommendation);
    this.pointed = null;
    render(summary({ id: this.id, known: this.known, stop: () => this.stop() }), this.top);
    this.drawChart();
    this.drawRest();
  }

  drawChart() {
    const { ended, winner, objective, search } = this.known;
    const point = (place) => {
      const next = place !== null && place >= ended.length ? null : place;
      if (next === this.pointed) return;
      this.pointed = next;
      this.drawChart();
    };
    const has = ended.some((one) => one.score !== null);
    const isOpen = (place) => ended[place] && this.open(ended[place]);
    const text = (one, number, isPlain) => told(this.known, one, number, isPlain);
    const all = { ended, budget: search.budget, objective, winner: winner?.index ?? null, at: this.pointed, point, open: isOpen, text };
    render(has ? progress(all) : "", this.chart);
  }

  drawRest() {
    const { ended, ahead, axes, winner, search, valueOf } = this.known;
    const jobs = [...ended, ...ahead];
    const all = { ended, ahead, budget: search.budget, winner: winner?.index ?? null, valueOf, open: (place) => this.open(jobs[place]) };
    render(
      html`${jobs.length ? html`<h2>Where it looked</h2>${axes.map((axis) => strip({ axis, ...all }))}
          <p class="caption">A point is a job, from the first to the last that the budget allows. Hollow points run or wait, crossed ones have failed; the broken line is
            the value that leads.</p>` : ""}
        ${table({ known: this.known, isAll: this.isAll, open: (one) => this.open(one), more: () => ((this.isAll = !this.isAll), this.drawRest()) })}`,
      this.rest,
    );
  }

  /** Show the picture of a job. */
  open(one) {
    location.hash = linkTo(["e", this.id, "grid", ...(one?.image ? [one.key] : [])]);
  }

  async stop() {
    const { search } = this.known;
    const text = `It plans no more jobs; those that run or wait are still made. ${search.budget - search.spent} of its ${search.budget} jobs are left, and it cannot be started again.`;
    if (!(await confirm("Stop the search?", text, { yes: "Stop it", no: "Let it go on" }))) return;
    try {
      await post(of(this.id, "stop"));
      say("the search is stopped");
    } catch (error) {
      complain(error.message);
    }
  }

  update(changes) {
    if (["all", "open", "status", "recommendation"].some((one) => changes.has(one))) this.draw();
    else if (!this.timer && [...changes].some((one) => one === "ratings" || one === "variants" || one.startsWith("cell "))) this.timer = setTimeout(() => this.draw(), PAUSE);
  }

  close() {
    clearTimeout(this.timer);
  }
}

/** Return all that is drawn. */
function factsOf(status, made) {
  const variants = new Map([...state.open.variants.values()].map((one) => [one.variant_index, one]));
  const objective = made?.objective ?? status.definition.objective ?? "stars";
  const steps = stepsOf(state.open.cells, state.open.ratings, { objective, isMinimized: made ? isMinimized(made) : false });
  const variable = variableOf(variants);
  const values = made?.estimates.length ? made.estimates.map((one) => one.value) : [...variants.values()].map((one) => one.variant_value);
  const { winner } = made ? rivals(made) : { winner: null };
  const valueOf = (index) => variants.get(index)?.variant_value;
  return { ...steps, status, search: status.search, made, objective, variable, winner, axes: axesOf(values, variable), valueOf };
}

function none(id) {
  return html`<p>This experiment tries every value; nothing is searched. <a href=${linkTo(["e", id, "grid"])}>Its pictures</a></p>`;
}

/** Return what it does now and why, or why it has ended. */
function summary({ id, known, stop }) {
  const { search, made, winner, variable, status } = known;
  const isOn = search.state === "searching";
  const waits = isOn && search.reason.startsWith("waits for");
  return html`<div class="search-top">
    <div class="now">
      <p><span class=${`chip ${CHIPS[search.state]}`}>${ENDS[search.state] ?? search.state}</span></p>
      <h2 class="headline">${made ? headline(made, winner, variable) : "Nothing known yet"}</h2>
      <p class="reason" role="status"><b>${isOn ? "Now:" : "Why it ended:"}</b> ${search.reason || (isOn ? "the first values are tried, spread over the range" : search.state)}</p>
      <div class="bar deeds">
        ${waits ? html`<a class="button primary" href=${linkTo(["e", id, "rate"])}>${icon("star")}${search.reason.includes("comparison") ? "Compare them" : "Rate them"}</a>` : ""}
        ${isOn
          ? html`<button @click=${stop}>${icon("stop")}Stop the search</button>`
          : html`<a class="button primary" href=${linkTo(["e", id, "answer"])}>${icon("trophy")}See the answer</a>`}
      </div>
    </div>
    <div class="gauges">${budget(known)}${certainty(made, winner, status.definition.stop_p_best ?? GOAL, isOn)}</div>
    ${isOn ? next(known) : ""}
  </div>`;
}

function budget({ search, ended, ahead, status }) {
  const part = (count) => `${(100 * Math.min(count, search.budget)) / Math.max(1, search.budget)}%`;
  const left = search.budget - search.spent;
  const text = `${search.spent} of ${search.budget} jobs${ahead.length ? `, ${ahead.length} of them on the way` : ""}; ${Math.max(0, left)} left`;
  return html`<div class="gauge"><b>Budget</b>
    <svg height="14" role="img" aria-label=${text}><rect class="rail" width="100%" height="14" rx="4" /><rect class="amount ahead" width=${part(search.spent)} height="14" rx="4" />
      <rect class="amount" width=${part(ended.length)} height="14" rx="4" /></svg>
    <span>${text}${status.eta_seconds && ahead.length ? ` (${durationText(status.eta_seconds)} for those)` : ""}</span></div>`;
}

function certainty(made, winner, goal, isOn) {
  if (winner?.p_best === null || winner === null) return "";
  const text = `${percent(winner.p_best)}; ${isOn ? "it ends" : "it would have ended"} at ${percent(goal)}, or when no other value is noticeably better`;
  return html`<div class="gauge"><b>Chance that ${namedValue(winner.value, "")} is best</b>
    <svg height="14" role="img" aria-label=${text}><rect class="rail" width="100%" height="14" rx="4" /><rect class="amount" width=${`${100 * winner.p_best}%`} height="14" rx="4" />
      <line class="doubt" x1=${`${100 * goal}%`} x2=${`${100 * goal}%`} y1="-3" y2="17" /></svg><span>${text}</span></div>`;
}

/** Return where it looks now, and which values it takes for the likeliest: from them it chooses. */
function next({ ahead, made, valueOf, variable, status }) {
  const likely = (made?.estimates ?? []).filter((one) => one.p_best !== null).sort((one, other) => other.p_best - one.p_best).slice(0, LIKELY);
  const job = (one) => html`<li>${namedValue(valueOf(one.variant), variable)}
    <small>${conditionText(status.definition, one.repeat)}, ${one.state === "running" ? "running" : "waits"}</small></li>`;
  const value = (one) => html`<li>${namedValue(one.value, variable)} <small>${percent(one.p_best)}${one.n ? `, seen ${one.n} ×` : ", never tried"}</small></li>`;
  if (!ahead.length && !likely.length) return "";
  return html`<div class="looks"><div><h3>Looks now at</h3>${ahead.length ? html`<ul>${ahead.slice(0, LIKELY).map(job)}</ul>` : html`<p class="caption">No job is on its way.</p>`}</div>
    ${likely.length ? html`<div><h3>Chooses next among</h3><ul>${likely.map(value)}</ul></div>` : ""}
  </div>`;
}

/** Return what a job brought, as a line. */
function told({ valueOf, variable, objective, ended, status }, one, number, isPlain = false) {
  const since = one.at && ended[0].at ? durationText(Math.max(0, one.at - ended[0].at)) : "";
  const name = namedValue(valueOf(one.variant), variable);
  const result = one.score === null ? one.state : `${scoreText(one.score, objective)}${one.isBest ? ", a new best" : ""}`;
  const rest = `${result}; job ${number + 1}, ${conditionText(status.definition, one.repeat)}${number && since ? `, ${since} after the first` : ""}`;
  return isPlain ? `${name}: ${rest}` : html`<b>${name}</b> ${rest}`;
}

function table({ known, isAll, open, more }) {
  const { ended, valueOf, objective, status } = known;
  if (!ended.length) return "";
  const rows = ended.map((one, number) => ({ ...one, number })).reverse();
  const row = (one) => html`<tr><td>${one.number + 1}</td>
    <th scope="row"><button class="plain value" @click=${() => open(one)}>${shortened(valueText(valueOf(one.variant)))}</button></th>
    <td class="cell-picture">${one.image?.width ? html`<img src=${picture(one.image.sha256)} alt="" loading="lazy" width="40" height="40" />` : ""}</td>
    <td class="made">${conditionText(status.definition, one.repeat)}</td>
    <td>${one.score === null ? one.state : scoreText(one.score, objective)}${one.isBest ? html` <b class="new-best">new best</b>` : ""}</td></tr>`;
  return html`<h2>Every job, the newest first</h2>
    <div class="wide" role="region" aria-label="Jobs" tabindex="0"><table class="tried">
      <thead><tr><th scope="col">job</th><th scope="col">value</th><th scope="col">picture</th><th scope="col" class="made">made with</th><th scope="col">result</th></tr></thead>
      <tbody>${(isAll ? rows : rows.slice(0, ROWS)).map(row)}</tbody></table></div>
    ${rows.length > ROWS ? html`<p><button @click=${more}>${isAll ? `Show the newest ${ROWS} only` : `Show all ${rows.length} jobs`}</button></p>` : ""}`;
}
