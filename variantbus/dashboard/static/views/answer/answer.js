// The answer: the winner beside the runner-up, why, what helps next, and the charts and tables that it follows from.

import { html, render } from "../../base/html.js";
import { linkTo } from "../../base/routes.js";
import { complain } from "../../base/toast.js";
import { get, getText, isShared, of } from "../../data/api.js";
import { cellKey, pictures, repeats, state } from "../../data/state.js";
import { meaningOf, namedValue, pointsOf, scaleOf, variableOf } from "../../experiment/scores.js";
import { isOfPeople, objectiveChoice } from "../../feedback/objective.js";
import { askedAbout } from "../../results/media.js";
import { actions, application } from "./actions.js";
import { curve, hasCurve } from "./curve.js";
import { effects } from "./effects.js";
import { heat } from "./heat.js";
import { chances, pair, resultOf, sharedRepeats } from "./hero.js";
import { reasons } from "./reasons.js";
import { legend, table } from "./table.js";
import { tradeOff } from "./tradeoff.js";
import { headline, helps, moreText, rivals } from "../../experiment/verdict.js";

const PAUSE = 400; // ms between two drawings while jobs end by the dozen
const MOST_POINTS = 3000; // single results in the charts; more could not be told apart, and would be slow
const NOW = ["open", "status", "recommendation"]; // what is drawn at once

export class AnswerView {
  constructor(id) {
    this.id = id;
    this.element = document.createElement("section");
    this.element.className = "answers charts";
    this.parts = Object.fromEntries(["top", "curve", "heat", "rest"].map((name) => [name, this.element.appendChild(document.createElement("div"))]));
    this.known = null; // what is drawn: all that follows from the state
    this.at = 0; // place of the seed whose pictures are shown
    this.pointed = null; // place of a value in the curve
    this.look = { sort: "value", isDown: false, isAll: false };
    this.map = { across: null, down: null, by: "estimate", at: null };
    this.job = null; // the text of the job that Apply has made
    this.failed = ""; // why there is no recommendation
    this.timer = 0;
    this.isAsked = false;
  }

  async ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    const open = state.open;
    const before = open.recommendation;
    try {
      const found = await get(of(this.id, "recommendation"));
      if (open.recommendation === before) open.recommendation = found; // else a newer one has come by an event
      this.failed = "";
    } catch (error) {
      this.failed = error.message;
    }
    if (state.open === open) this.draw();
  }

  /** Draw all of it; what only follows from the mouse is drawn by itself. */
  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (state.open?.id !== this.id) return;
    this.known = this.facts();
    this.drawTop();
    this.drawCurve();
    this.drawHeat();
    this.drawRest();
  }

  facts() {
    const { recommendation: made, status } = state.open;
    if (!status) return { made: null, status };
    const next = nextOf(made, status);
    if (!made) return { made, status, next, winner: null };
    const variants = new Map([...state.open.variants.values()].map((one) => [one.variant_index, one]));
    const all = pointsOf(made.objective);
    const count = [...all.values()].reduce((sum, one) => sum + one.length, 0);
    const points = count > MOST_POINTS ? new Map() : all;
    const { winner, rival } = rivals(made);
    const shared = sharedRepeats(winner, rival, repeats());
    this.at = Math.min(this.at, Math.max(0, shared.length - 1));
    return { made, status, variants, points, winner, rival, shared, variable: variableOf(variants), scale: scaleOf(made, all), next };
  }

  drawTop() {
    const { made, status, winner, rival, shared, variable, next } = this.known;
    if (!status) return render("", this.parts.top);
    const turn = (step) => {
      this.at = (this.at + step + shared.length) % shared.length;
      this.drawTop();
    };
    const settings = winner && meaningOf(status.definition, variable, winner.value);
    const text = spoken(this.failed || made?.sentence || "…", Boolean(winner));
    render(
      html`<div class=${winner ? "hero" : "hero nothing"}>
        ${winner ? html`<div class="pictures">${pair({ id: this.id, made, winner, rival, repeats: shared, at: this.at, variable, turn })}</div>` : ""}
        <div class="verdict">
          <h2 class="headline" title=${winner ? namedValue(winner.value, variable) : ""}>${made || this.failed ? headline(made, winner, variable) : "…"}</h2>
          ${settings ? html`<p class="stands">${settings}</p>` : ""}
          ${winner ? chances(made, winner) : ""}
          <p class=${this.failed || made?.problem ? "answer problem" : "answer"} role="status">${text}</p>
          ${isShared ? "" : actions(next, { id: this.id, status, made, more: made ? moreText(made) : "", card: winner && this.content(), apply: () => this.apply() })}
          ${isShared ? "" : objectiveChoice(this.id)}
          ${this.job === null ? "" : application(this.id, this.job, () => ((this.job = null), this.drawTop()))}
        </div>
      </div>`,
      this.parts.top,
    );
  }

  /** Return what the card says. */
  content() {
    const { made, status, winner, rival, shared, variable } = this.known;
    const repeat = shared[this.at];
    const images = [winner, rival].map((one) => (repeat === undefined ? null : resultOf(one, repeat)));
    const prompt = status.definition.config?.prompt;
    const about = [`${made.estimates.length} values, ${status.totals.completed} pictures`, typeof prompt === "string" ? prompt : ""].filter(Boolean).join(" · ");
    return { name: status.experiment_name, headline: headline(made, winner, variable), about, made, winner, rival, variable, images };
  }

  drawCurve() {
    const { made, variable, points, scale } = this.known;
    const point = (place) => {
      if (place === this.pointed) return;
      this.pointed = place;
      this.drawCurve();
    };
    if (this.pointed !== null && this.pointed >= (made?.estimates.length ?? 0)) this.pointed = null;
    render(isKnown(made) && hasCurve(made) ? curve({ made, variable, points, scale, at: this.pointed, point, open: (index) => this.open(index) }) : "", this.parts.curve);
  }

  drawHeat() {
    const { made, winner } = this.known;
    const change = (part) => {
      if (part.at && this.map.at && String(part.at) === String(this.map.at)) return;
      this.map = { ...this.map, ...part };
      this.drawHeat();
    };
    render(isKnown(made) ? heat({ made, winner, look: this.map, change, open: (index) => this.open(index) }) : "", this.parts.heat);
  }

  drawRest() {
    const { made, status, scale, variable, variants, points } = this.known;
    if (!isKnown(made)) return render("", this.parts.rest);
    const lines = reasons(made, status.search);
    const change = (other) => {
      this.look = other;
      this.drawRest();
    };
    render(
      html`${made.effects?.length ? effects(made, scale) : ""}
        ${tradeOff({ made, variable, variants, scale, open: (index) => this.open(index) })}
        ${lines.length ? html`<h2>Why</h2><ul class="why">${lines.map((text) => html`<li>${text}</li>`)}</ul>` : ""}
        <h2>All values</h2>
        <div class="wide" role="region" aria-label="Values" tabindex="0">${table({ made, variable, variants, points, scale, definition: status.definition, look: this.look, change, open: (index) => this.open(index) })}</div>
        ${legend(made)}`,
      this.parts.rest,
    );
  }

  /** Show the pictures of a value. */
  open(index) {
    const repeat = repeats().find((one) => state.open.cells.get(cellKey(index, one))?.images.length);
    location.hash = linkTo(["e", this.id, "grid", ...(repeat === undefined ? [] : [cellKey(index, repeat)])]);
  }

  async apply() {
    try {
      this.job = await getText(of(this.id, "job.toml"));
      this.drawTop();
    } catch (error) {
      complain(error.message);
    }
  }

  update(changes) {
    if (changes.has("open") || changes.has("all")) {
      this.isAsked = false;
      if (state.open?.status) this.ask();
    }
    if (changes.has("recommendation")) this.failed = ""; // what was in the way is over
    if (changes.has("all") || NOW.some((one) => changes.has(one))) this.draw();
    else if (!this.timer && [...changes].some((one) => one === "ratings" || one === "variants" || one.startsWith("cell "))) this.timer = setTimeout(() => this.draw(), PAUSE);
  }

  close() {
    clearTimeout(this.timer);
  }
}

/** Return a sentence of which is only read out what the headline and the numbers below it say already. */
function spoken(sentence, hasWinner) {
  const isSaid = (clause) => hasWinner && / that it is best, [^()]+\)$|^about .* would decide$/.test(clause);
  const heard = (text) => html`<span class="heard">${text}</span>`;
  let isFirst = true; // of what is seen
  return sentence.split("; ").map((clause, place) => {
    const before = place ? "; " : "";
    if (isSaid(clause)) return heard(`${before}${clause}`);
    const shown = isFirst ? html`${heard(before)}${clause}` : `${before}${clause}`;
    isFirst = false;
    return shown;
  });
}

/** Return whether an answer tells anything of any value. */
function isKnown(made) {
  return Boolean(made?.estimates.some((one) => one.mean !== null));
}

/** Return what helps now. */
function nextOf(made, status) {
  const metrics = [...new Set([...state.open.variants.values()].flatMap((one) => Object.keys(one.metrics)))];
  const open = askedAbout(pictures(), ({ image }) => image).filter(({ sha256 }) => !state.open.ratings.has(sha256)).length;
  return helps({ made, status, isOfPeople: isOfPeople(), open, metrics });
}
