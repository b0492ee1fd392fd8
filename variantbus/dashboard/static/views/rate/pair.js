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

/** Return this way of rating: templates for the parts of the view, and what it does for keys and events. */
export function pairRating({ id, shots, ask, ordered, draw, why }) {
  const questions = new Pairs({ ask: choose, changed: () => (ahead(), draw()) });

  async function choose(known) {
    const names = known.map(({ left, right }) => `${left.sha256}.${right.sha256}`);
    const reply = await ask("pair", (waiting) => [...names, ...waiting.filter((one) => one.outcome).map((one) => `${one.left}.${one.right}`)]);
    if (!reply) return undefined;
    return reply.left ? { left: reply.left, right: reply.right } : null;
  }

  function ahead() {
    for (const { left, right } of questions.ahead) for (const image of [left, right]) shots.of(image);
  }

  function shotsNow() {
    const pair = questions.shown;
    return pair ? [shots.of(pair.left), shots.of(pair.right)] : [];
  }

  function isSeen() {
    const found = shotsNow();
    return found.length === 2 && found.every((one) => one.state === "ready");
  }

  function answer(outcome) {
    if (!isSeen()) return;
    const { left, right } = questions.shown;
    compare(id, left.sha256, right.sha256, outcome);
    questions.next();
  }

  /** Take the newest answer back, and ask it again. */
  function undo() {
    const newest = lastComparison(id);
    if (!newest) return;
    undoComparison(id, newest);
    askAgain(newest);
  }

  function askAgain({ left, right }) {
    const imageOf = (sha256) => ordered().find((one) => one.sha256 === sha256)?.image;
    const pair = { left: imageOf(left), right: imageOf(right) };
    if (!pair.left || !pair.right) return;
    if (questions.shown) questions.ahead.unshift(questions.shown);
    questions.show(pair);
  }

  function progress() {
    const count = comparisons().length;
    return { text: count === 1 ? "1 answer" : `${count} answers` };
  }

  /** Say that it is enough where the answer is sure; the value itself is not named, so that a person stays blind. */
  function above() {
    const made = state.open.recommendation;
    if (made?.objective !== "preference" || made.tier !== "strong") return nothing;
    return html`<p class="enough" role="status">
      <span>You can stop: ${made.equals?.length ? "several values are equally good" : `one value is the best with a probability of ${percent(made.p_best)}`}.</span> <a href=${linkTo(["e", id, "answer"])}>See the answer</a>
    </p>`;
  }

  function stage() {
    const pair = questions.shown;
    if (!pair) return { key: "none", kind: "over", content: html`<p class="word" role="status">${questions.isEmpty ? noPair() : why() || "…"}</p>` };
    const key = `${pair.left.sha256} ${pair.right.sha256}`;
    const content = keyed(key, html`${side("left", pair.left)}${side("right", pair.right)}`);
    return { key, kind: "pair", content: html`${content}${notSeen(shotsNow(), { again: () => shots.retry(), pass: () => questions.pass() })}` };
  }

  function noPair() {
    const coming = comingJobs();
    return coming ? `There are no two values with pictures yet. ${making(coming)}` : "There are no two values whose pictures differ.";
  }

  /** Return one of two; a picture is chosen by a click on it, while a click on a player plays. */
  function side(name, image) {
    const shot = shots.of(image);
    if (kindOf(image) === "picture") {
      return html`<button class=${`shot picture ${shot.state}`} aria-label=${`${name} is better`} @click=${() => answer(name)}>${shot.view}</button>`;
    }
    return html`<div class=${`shot ${kindOf(image)}`}>${shot.view}<button aria-label=${`${name} is better`} @click=${() => answer(name)}>This one</button></div>`;
  }

  function below() {
    if (questions.isEmpty) return nothing;
    const choice = (outcome, content, kind = "") => html`<button class=${kind} aria-disabled=${!isSeen()} @click=${() => answer(outcome)}>${content}</button>`;
    return html`<div class="below">
      <p class="about">Which one is better?</p>
      <div class="row judge" role="group" aria-label="Which one is better?">
        <button class="undo" aria-label="Undo" title="Undo the last one (u)" @click=${undo}>${icon("undo")}<kbd>u</kbd></button>
        ${choice("left", html`<span class="flat">Left</span><span class="tall">Upper</span><kbd>←</kbd>`, "choose")}
        ${choice("tie", html`Tie<kbd>t</kbd>`)}
        ${choice("both_bad", html`Both bad<kbd>x</kbd>`)}
        ${choice("right", html`<span class="flat">Right</span><span class="tall">Lower</span><kbd>→</kbd>`, "choose")}
        <button class="pass" aria-label="Skip" title="Another pair (s)" @click=${() => questions.pass()}>${icon("right")}</button>
      </div>
    </div>`;
  }

  function key(event) {
    if (event.repeat) return true; // a key that is held down answers one question
    if (KEYS[event.key]) answer(KEYS[event.key]);
    else if (event.key === "u") undo();
    else if (event.key === "s") questions.pass();
    else return false;
    return true;
  }

  return {
    begin: () => questions.shown || questions.fill(),
    progress,
    above,
    stage,
    below,
    key,
    swiped: (way) => way < 0 && questions.pass(),
    canZoom: () => isSeen() && kindOf(questions.shown.left) === "picture",
    restart: () => questions.restart(),
    refused: ({ what, body }) => what === "compare" && askAgain(body),
    update() {
      if (!questions.shown) questions.fill();
    },
    drawn: together,
  };
}
