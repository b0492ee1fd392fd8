// One picture after the other, with stars: what is shown, and what keys and fingers do.

import { html, keyed, live, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { state } from "../../data/state.js";
import { conditionText, valueText } from "../../data/values.js";
import { kindOf } from "../../results/media.js";
import { rate as give, note as write, ratingOf, reject, undoLast } from "../../feedback/judging.js";
import { Course } from "./course.js";
import { endOf } from "./end.js";
import { Held } from "./held.js";
import { notSeen } from "./unseen.js";

/** Return this way of rating: templates for the parts of the view, and what it does for keys and events. */
export function starRating({ id, shots, ask, ordered, draw, isTold }) {
  const drafts = new Map(); // hash -> a note that is typed and not sent
  const shown = new Set(); // hashes of pictures whose values somebody wanted to see
  const held = new Held(); // stars by keys, for pictures that are not there yet
  let enough = "";
  const course = new Course({
    all: ordered,
    isRated: (sha256) => Boolean(ratingOf(sha256)),
    changed: () => (shown.clear(), ahead(), draw()),
    ask: choose,
  });

  async function choose(passed) {
    const reply = await ask("next", (waiting) => [...new Set([...passed, ...waiting.map((one) => one.image).filter(Boolean)])]);
    if (reply) enough = reply.enough ?? "";
    return reply?.image?.sha256 ?? null;
  }

  /** Load what comes next. */
  function ahead() {
    for (const sha256 of course.coming()) {
      const one = find(sha256);
      if (one) shots.of(one.image);
    }
  }

  function find(sha256) {
    return ordered().find((one) => one.sha256 === sha256) ?? null;
  }

  function now() {
    return course.shown === null ? null : find(course.shown);
  }

  /** Return the picture that can be judged: one that a person sees. */
  function seen() {
    const one = now();
    return one && shots.of(one.image).state === "ready" ? one : null;
  }

  function noteOf(sha256) {
    return drafts.get(sha256) ?? ratingOf(sha256)?.note ?? "";
  }

  function rate(stars) {
    const one = seen();
    if (!one) return;
    const text = noteOf(one.sha256);
    drafts.delete(one.sha256);
    if (stars === null) reject(id, one.sha256, text);
    else give(id, one.sha256, stars, text);
    course.next();
  }

  /** Take the stars of a key, null for a rejection; they are for the picture that is shown, or for one behind it. */
  function pressed(stars) {
    const one = now();
    if (one && shots.of(one.image).state === "loading") held.hold(stars);
    else rate(stars);
  }

  /** Let the next key count whose picture is there now. */
  function takeHeld() {
    const one = now();
    if (!one || shots.of(one.image).state === "failed") return held.drop();
    const stars = seen() ? held.take() : undefined;
    if (stars !== undefined) rate(stars);
  }

  function pass() {
    held.drop();
    course.pass();
  }

  function back() {
    held.drop();
    course.back();
  }

  function undo() {
    if (held.undo()) return;
    const sha256 = undoLast(id);
    if (sha256) course.show(sha256);
  }

  function begin() {
    course.ask = isTold() ? null : choose;
    if (course.shown === null && ordered().length) course.next();
    else ahead();
  }

  function counted() {
    const all = ordered();
    return { all: all.length, rated: all.filter((one) => ratingOf(one.sha256)).length };
  }

  function progress() {
    const { all, rated } = counted();
    return { done: rated, of: all, text: all ? `${rated} of ${all} rated` : "" };
  }

  function above() {
    if (!enough || !now()) return nothing;
    return html`<p class="enough" role="status"><span>You can stop: ${enough}.</span> <a href=${linkTo(["e", id, "answer"])}>See the answer</a></p>`;
  }

  function stage() {
    const one = now();
    if (!one) return { key: "end", kind: "over", content: endOf({ id, ...counted(), enough, passed: course.passed.size, again: () => course.again() }) };
    const shot = shots.of(one.image);
    const content = html`<div class=${`shot ${kindOf(one.image)} ${shot.state}`}>${keyed(one.sha256, shot.view)}</div>${notSeen([shot], { again: () => shots.retry(), pass })}`;
    return { key: one.sha256, kind: "one", content };
  }

  function below() {
    const one = now();
    if (!one) return counted().rated ? html`<div class="below"><div class="row">${undoButton(undo)}</div></div>` : nothing;
    const rating = ratingOf(one.sha256);
    const isSeen = Boolean(seen());
    const star = (number) => html`<button
      class=${`star ${rating && rating.stars >= number ? "on" : ""}`}
      aria-label=${number === 1 ? "1 star" : `${number} stars`}
      aria-pressed=${rating?.stars === number}
      aria-disabled=${!isSeen}
      @click=${() => rate(number)}
    >${icon("star")}<kbd>${number}</kbd></button>`;
    return html`<div class="below">
      ${about(one)}
      <div class="row judge" role="group" aria-label="Stars">
        ${undoButton(undo)}
        <span class="five">${[1, 2, 3, 4, 5].map(star)}</span>
        <button class="pass" aria-label="Skip" title="Another one (→)" @click=${pass}>${icon("right")}</button>
      </div>
      <div class="row notes">
        <input class="note" aria-label="Note" title="Note (n)" maxlength="2000" autocomplete="off" enterkeyhint="done"
          placeholder=${rating ? "a note; Enter keeps it" : "a note, kept with the stars"}
          .value=${live(noteOf(one.sha256))} @input=${(event) => drafts.set(one.sha256, event.target.value)} @keydown=${(event) => typed(event, one)} />
        <button class="reject" aria-disabled=${!isSeen} @click=${() => rate(null)}>Reject<kbd>x</kbd></button>
      </div>
    </div>`;
  }

  function about({ sha256, variant, repeat }) {
    const text = `${variant.variable_under_test} ${valueText(variant.variant_value)}, ${conditionText(state.open.status.definition, repeat)}`;
    if (isTold() || shown.has(sha256)) return html`<p class="about">${text}</p>`;
    return html`<p class="about"><button class="plain tell" @click=${() => (shown.add(sha256), draw())}>${icon("eye")} Show its value<kbd>v</kbd></button></p>`;
  }

  /** Enter keeps a note, which waits for the stars where there are none yet; Enter and Escape leave the field. */
  function typed(event, { sha256 }) {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter" && write(id, sha256, noteOf(sha256).trim())) drafts.delete(sha256);
    event.target.blur();
    draw();
  }

  function key(event) {
    const one = now();
    if (/^[1-5]$/.test(event.key)) pressed(Number(event.key));
    else if (event.key === "x") pressed(null);
    else if (event.key === "u") undo();
    else if (event.key === "v" && one) (shown.add(one.sha256), draw());
    else if (event.key === "n" && one) document.querySelector(".rating .note")?.focus();
    else if (event.key === "ArrowLeft") back();
    else if (event.key === "ArrowRight" || event.key === "s") pass();
    else return false;
    return true;
  }

  return {
    begin,
    progress,
    above,
    stage,
    below,
    key,
    swiped: (way) => (way < 0 ? pass() : back()),
    canZoom: () => Boolean(seen()) && kindOf(now().image) === "picture",
    show: (sha256) => (held.drop(), course.show(sha256)),
    restart: () => ((enough = ""), held.drop(), course.restart()),
    drawn: takeHeld,
    /** A judgement was refused, as the queue says: its picture comes back, with what was written. */
    refused({ what, body }) {
      if (what !== "rate") return;
      drafts.set(body.image, body.note);
      course.show(body.image);
    },
    update(changes) {
      if (changes.has("recommendation")) ahead();
      if (course.shown === null && course.coming().length) course.next();
    },
  };
}

function undoButton(undo) {
  return html`<button class="undo" aria-label="Undo" title="Undo the last one (u)" @click=${undo}>${icon("undo")}<kbd>u</kbd></button>`;
}
