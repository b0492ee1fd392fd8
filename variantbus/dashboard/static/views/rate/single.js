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

/** Rating with stars: templates for the parts of the view, and what it does for keys and events. */
export class StarRating {
  constructor({ id, shots, ask, ordered, draw, isTold }) {
    Object.assign(this, { id, shots, ask, ordered, draw, isTold });
    this.drafts = new Map(); // hash -> a note that is typed and not sent
    this.shown = new Set(); // hashes of pictures whose values somebody wanted to see
    this.held = new Held(); // stars by keys, for pictures that are not there yet
    this.enough = "";
    this.course = new Course({
      all: ordered,
      isRated: (sha256) => Boolean(ratingOf(sha256)),
      changed: () => (this.shown.clear(), this.ahead(), draw()),
      ask: (passed) => this.choose(passed),
    });
  }

  async choose(passed) {
    const reply = await this.ask("next", (waiting) => [...new Set([...passed, ...waiting.map((one) => one.image).filter(Boolean)])]);
    if (reply) this.enough = reply.enough ?? "";
    return reply?.image?.sha256 ?? null;
  }

  /** Load what comes next. */
  ahead() {
    for (const sha256 of this.course.coming()) {
      const one = this.find(sha256);
      if (one) this.shots.of(one.image);
    }
  }

  find(sha256) {
    return this.ordered().find((one) => one.sha256 === sha256) ?? null;
  }

  now() {
    return this.course.shown === null ? null : this.find(this.course.shown);
  }

  /** Return the picture that can be judged: one that a person sees. */
  seen() {
    const one = this.now();
    return one && this.shots.of(one.image).state === "ready" ? one : null;
  }

  noteOf(sha256) {
    return this.drafts.get(sha256) ?? ratingOf(sha256)?.note ?? "";
  }

  rate(stars) {
    const one = this.seen();
    if (!one) return;
    const text = this.noteOf(one.sha256);
    this.drafts.delete(one.sha256);
    if (stars === null) reject(this.id, one.sha256, text);
    else give(this.id, one.sha256, stars, text);
    this.course.next();
  }

  /** Take the stars of a key, null for a rejection; they are for the picture that is shown, or for one behind it. */
  pressed(stars) {
    const one = this.now();
    if (one && this.shots.of(one.image).state === "loading") this.held.hold(stars);
    else this.rate(stars);
  }

  /** Let the next key count whose picture is there now. */
  drawn() {
    const one = this.now();
    if (!one || this.shots.of(one.image).state === "failed") return this.held.drop();
    const stars = this.seen() ? this.held.take() : undefined;
    if (stars !== undefined) this.rate(stars);
  }

  pass() {
    this.held.drop();
    this.course.pass();
  }

  back() {
    this.held.drop();
    this.course.back();
  }

  undo() {
    if (this.held.undo()) return;
    const sha256 = undoLast(this.id);
    if (sha256) this.course.show(sha256);
  }

  begin() {
    this.course.ask = this.isTold() ? null : (passed) => this.choose(passed);
    if (this.course.shown === null && this.ordered().length) this.course.next();
    else this.ahead();
  }

  counted() {
    const all = this.ordered();
    return { all: all.length, rated: all.filter((one) => ratingOf(one.sha256)).length };
  }

  progress() {
    const { all, rated } = this.counted();
    return { done: rated, of: all, text: all ? `${rated} of ${all} rated` : "" };
  }

  above() {
    if (!this.enough || !this.now()) return nothing;
    return html`<p class="enough" role="status"><span>You can stop: ${this.enough}.</span> <a href=${linkTo(["e", this.id, "answer"])}>See the answer</a></p>`;
  }

  stage() {
    const one = this.now();
    if (!one) return { key: "end", kind: "over", content: endOf({ id: this.id, ...this.counted(), enough: this.enough, passed: this.course.passed.size, again: () => this.course.again() }) };
    const shot = this.shots.of(one.image);
    const content = html`<div class=${`shot ${kindOf(one.image)} ${shot.state}`}>${keyed(one.sha256, shot.view)}</div>${notSeen([shot], { again: () => this.shots.retry(), pass: () => this.pass() })}`;
    return { key: one.sha256, kind: "one", content };
  }

  below() {
    const one = this.now();
    if (!one) return this.counted().rated ? html`<div class="below"><div class="row">${undoButton(() => this.undo())}</div></div>` : nothing;
    const rating = ratingOf(one.sha256);
    const isSeen = Boolean(this.seen());
    const star = (number) => html`<button
      class=${`star ${rating && rating.stars >= number ? "on" : ""}`}
      aria-label=${number === 1 ? "1 star" : `${number} stars`}
      aria-pressed=${rating?.stars === number}
      aria-disabled=${!isSeen}
      @click=${() => this.rate(number)}
    >${icon("star")}<kbd>${number}</kbd></button>`;
    return html`<div class="below">
      ${this.about(one)}
      <div class="row judge" role="group" aria-label="Stars">
        ${undoButton(() => this.undo())}
        <span class="five">${[1, 2, 3, 4, 5].map(star)}</span>
        <button class="pass" aria-label="Skip" title="Another one (→)" @click=${() => this.pass()}>${icon("right")}</button>
      </div>
      <div class="row notes">
        <input class="note" aria-label="Note" title="Note (n)" maxlength="2000" autocomplete="off" enterkeyhint="done"
          placeholder=${rating ? "a note; Enter keeps it" : "a note, kept with the stars"}
          .value=${live(this.noteOf(one.sha256))} @input=${(event) => this.drafts.set(one.sha256, event.target.value)} @keydown=${(event) => this.typed(event, one)} />
        <button class="reject" aria-disabled=${!isSeen} @click=${() => this.rate(null)}>Reject<kbd>x</kbd></button>
      </div>
    </div>`;
  }

  about({ sha256, variant, repeat }) {
    const text = `${variant.variable_under_test} ${valueText(variant.variant_value)}, ${conditionText(state.open.status.definition, repeat)}`;
    if (this.isTold() || this.shown.has(sha256)) return html`<p class="about">${text}</p>`;
    return html`<p class="about"><button class="plain tell" @click=${() => (this.shown.add(sha256), this.draw())}>${icon("eye")} Show its value<kbd>v</kbd></button></p>`;
  }

  /** Enter keeps a note, which waits for the stars where there are none yet; Enter and Escape leave the field. */
  typed(event, { sha256 }) {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter" && write(this.id, sha256, this.noteOf(sha256).trim())) this.drafts.delete(sha256);
    event.target.blur();
    this.draw();
  }

  key(event) {
    const one = this.now();
    if (/^[1-5]$/.test(event.key)) this.pressed(Number(event.key));
    else if (event.key === "x") this.pressed(null);
    else if (event.key === "u") this.undo();
    else if (event.key === "v" && one) (this.shown.add(one.sha256), this.draw());
    else if (event.key === "n" && one) document.querySelector(".rating .note")?.focus();
    else if (event.key === "ArrowLeft") this.back();
    else if (event.key === "ArrowRight" || event.key === "s") this.pass();
    else return false;
    return true;
  }

  swiped(way) {
    if (way < 0) this.pass();
    else this.back();
  }

  canZoom() {
    return Boolean(this.seen()) && kindOf(this.now().image) === "picture";
  }

  show(sha256) {
    this.held.drop();
    this.course.show(sha256);
  }

  restart() {
    this.enough = "";
    this.held.drop();
    this.course.restart();
  }

  /** A judgement was refused, as the queue says: its picture comes back, with what was written. */
  refused({ what, body }) {
    if (what !== "rate") return;
    this.drafts.set(body.image, body.note);
    this.course.show(body.image);
  }

  update(changes) {
    if (changes.has("recommendation")) this.ahead();
    if (this.course.shown === null && this.course.coming().length) this.course.next();
  }
}

function undoButton(undo) {
  return html`<button class="undo" aria-label="Undo" title="Undo the last one (u)" @click=${undo}>${icon("undo")}<kbd>u</kbd></button>`;
}
