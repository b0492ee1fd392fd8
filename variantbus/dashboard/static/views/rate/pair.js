// Two pictures side by side, without their values: which one is better?

import { html, keyed, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { percent } from "../../base/text.js";
import { state } from "../../data/state.js";
import { together } from "../../results/full.js";
import { kindOf } from "../../results/media.js";
import { compare, comparisons, lastComparison, undoComparison } from "../../feedback/judging.js";
import { comingJobs, making } from "./end.js";
import { Pairs } from "./pairs.js";
import { notSeen } from "./unseen.js";

const KEYS = { ArrowLeft: "left", ArrowUp: "left", ArrowRight: "right", ArrowDown: "right", t: "tie", x: "both_bad" };

/** Rating by comparisons: templates for the parts of the view, and what it does for keys and events. */
export class PairRating {
  constructor({ id, shots, ask, ordered, draw, why }) {
    Object.assign(this, { id, shots, ask, ordered, why });
    this.questions = new Pairs({ ask: (known) => this.choose(known), changed: () => (this.ahead(), draw()) });
  }

  async choose(known) {
    const names = known.map(({ left, right }) => `${left.sha256}.${right.sha256}`);
    const reply = await this.ask("pair", (waiting) => [...names, ...waiting.filter((one) => one.outcome).map((one) => `${one.left}.${one.right}`)]);
    if (!reply) return undefined;
    return reply.left ? { left: reply.left, right: reply.right } : null;
  }

  ahead() {
    for (const { left, right } of this.questions.ahead) for (const image of [left, right]) this.shots.of(image);
  }

  shotsNow() {
    const pair = this.questions.shown;
    return pair ? [this.shots.of(pair.left), this.shots.of(pair.right)] : [];
  }

  isSeen() {
    const found = this.shotsNow();
    return found.length === 2 && found.every((one) => one.state === "ready");
  }

  answer(outcome) {
    if (!this.isSeen()) return;
    const { left, right } = this.questions.shown;
    compare(this.id, left.sha256, right.sha256, outcome);
    this.questions.next();
  }

  /** Take the newest answer back, and ask it again. */
  undo() {
    const newest = lastComparison(this.id);
    if (!newest) return;
    undoComparison(this.id, newest);
    this.askAgain(newest);
  }

  askAgain({ left, right }) {
    const imageOf = (sha256) => this.ordered().find((one) => one.sha256 === sha256)?.image;
    const pair = { left: imageOf(left), right: imageOf(right) };
    if (!pair.left || !pair.right) return;
    if (this.questions.shown) this.questions.ahead.unshift(this.questions.shown);
    this.questions.show(pair);
  }

  progress() {
    const count = comparisons().length;
    return { text: count === 1 ? "1 answer" : `${count} answers` };
  }

  /** Say that it is enough where the answer is sure; the value itself is not named, so that a person stays blind. */
  above() {
    const made = state.open.recommendation;
    if (made?.objective !== "preference" || made.tier !== "strong") return nothing;
    return html`<p class="enough" role="status">
      <span>You can stop: ${made.equals?.length ? "several values are equally good" : `one value is the best with a probability of ${percent(made.p_best)}`}.</span> <a href=${linkTo(["e", this.id, "answer"])}>See the answer</a>
    </p>`;
  }

  stage() {
    const pair = this.questions.shown;
    if (!pair) return { key: "none", kind: "over", content: html`<p class="word" role="status">${this.questions.isEmpty ? noPair() : this.why() || "…"}</p>` };
    const key = `${pair.left.sha256} ${pair.right.sha256}`;
    const content = keyed(key, html`${this.side("left", pair.left)}${this.side("right", pair.right)}`);
    return { key, kind: "pair", content: html`${content}${notSeen(this.shotsNow(), { again: () => this.shots.retry(), pass: () => this.questions.pass() })}` };
  }

  /** Return one of two; a picture is chosen by a click on it, while a click on a player plays. */
  side(name, image) {
    const shot = this.shots.of(image);
    if (kindOf(image) === "picture") {
      return html`<button class=${`shot picture ${shot.state}`} aria-label=${`${name} is better`} @click=${() => this.answer(name)}>${shot.view}</button>`;
    }
    return html`<div class=${`shot ${kindOf(image)}`}>${shot.view}<button aria-label=${`${name} is better`} @click=${() => this.answer(name)}>This one</button></div>`;
  }

  below() {
    if (this.questions.isEmpty) return nothing;
    const choice = (outcome, content, kind = "") => html`<button class=${kind} aria-disabled=${!this.isSeen()} @click=${() => this.answer(outcome)}>${content}</button>`;
    return html`<div class="below">
      <p class="about">Which one is better?</p>
      <div class="row judge" role="group" aria-label="Which one is better?">
        <button class="undo" aria-label="Undo" title="Undo the last one (u)" @click=${() => this.undo()}>${icon("undo")}<kbd>u</kbd></button>
        ${choice("left", html`<span class="flat">Left</span><span class="tall">Upper</span><kbd>←</kbd>`, "choose")}
        ${choice("tie", html`Tie<kbd>t</kbd>`)}
        ${choice("both_bad", html`Both bad<kbd>x</kbd>`)}
        ${choice("right", html`<span class="flat">Right</span><span class="tall">Lower</span><kbd>→</kbd>`, "choose")}
        <button class="pass" aria-label="Skip" title="Another pair (s)" @click=${() => this.questions.pass()}>${icon("right")}</button>
      </div>
    </div>`;
  }

  key(event) {
    if (event.repeat) return true; // a key that is held down answers one question
    if (KEYS[event.key]) this.answer(KEYS[event.key]);
    else if (event.key === "u") this.undo();
    else if (event.key === "s") this.questions.pass();
    else return false;
    return true;
  }

  /** Ask what to show first, and again where nobody answered. */
  begin() {
    if (!this.questions.shown) this.questions.fill();
  }

  update() {
    this.begin();
  }

  swiped(way) {
    if (way < 0) this.questions.pass();
  }

  canZoom() {
    return this.isSeen() && kindOf(this.questions.shown.left) === "picture";
  }

  restart() {
    this.questions.restart();
  }

  /** A judgement was refused, as the queue says: its pair comes back. */
  refused({ what, body }) {
    if (what === "compare") this.askAgain(body);
  }

  drawn(stage) {
    together(stage);
  }
}

/** Return why there is no pair. */
function noPair() {
  const coming = comingJobs();
  return coming ? `There are no two values with pictures yet. ${making(coming)}` : "There are no two values whose pictures differ.";
}
