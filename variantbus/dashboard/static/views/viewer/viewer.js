// One picture in full, at an address of its own: rated, compared with any other one, with all that is known of its job.

import { html, render } from "../../base/html.js";
import { linkTo, replaceRoute } from "../../base/routes.js";
import { complain, say, saidIn } from "../../base/toast.js";
import { isShared, of, picture, post } from "../../data/api.js";
import { state } from "../../data/state.js";
import { conditionText, valueText } from "../../data/values.js";
import { ratingOf } from "../../feedback/judging.js";
import { filesView } from "../../results/files.js";
import { kindOf } from "../../results/media.js";
import { judgeOf } from "./judge.js";
import { jobOf } from "./jobs.js";
import { asked } from "./keys.js";
import { panelOf, retryButtons } from "./panel.js";
import { barOf, rivalOf, starsOf } from "./parts.js";
import { STEPS, lineThrough, locate, step, stepBoth } from "./places.js";
import { Stage } from "./stage.js";
import { stripOf } from "./strip.js";
import { rivalsOf, subjectOf, whole, wordOf } from "./subject.js";

const CELL = /^\d+\.\d+$/;
const PANEL = "viewer panel"; // whether it is open, kept for the next picture
const WIDE = "(min-width: 60rem)";
const CHANGES = new Set(["rate", "reject", "undo", "write"]); // what a shared page cannot do
const WARM = 12; // pictures that are loaded ahead

/**
 * The viewer, opened at an address of the grid. `order()` returns what the grid shows, as places.js says, or null before there is
 * data; `isAbove` says whether the grid is the entry before this one in the history, `onclose(key)` is told the last picture.
 */
export class Viewer {
  constructor(id, { route, order, isAbove, onclose }) {
    Object.assign(this, { id, order, onclose, ...placeOf(route) }); // with `key`, `part` and `other`
    this.isRow = true; // whether the filmstrip is the row or the column
    this.isPanel = localStorage.getItem(PANEL) ? localStorage.getItem(PANEL) === "open" : matchMedia(WIDE).matches;
    this.warm = new Map(); // hash -> a picture that is loaded ahead
    this.stage = new Stage({ onswipe: (by) => this.move(by), onflip: () => this.draw() });
    this.strip = stripOf({ onpick: (key) => this.pick(key), onturn: () => this.turnStrip(), redraw: () => this.draw(), tileOf });
    this.judge = judgeOf(id, { seen: () => this.seenImage(), leave: () => (this.draw(), this.dialog.focus()) });
    this.acts = this.makeActs();
    this.dialog = this.makeDialog();
    this.listening = new AbortController();
    document.addEventListener("keydown", (event) => this.onkey(event), { signal: this.listening.signal }); // a button that vanishes leaves the focus outside of the dialog
    if (isAbove) history.replaceState({ ...history.state, isAbove: true }, "");
    document.body.append(this.dialog);
    this.draw();
    this.dialog.showModal();
    this.dialog.focus();
    this.draw(); // now that the widths are known
    this.unsaid = saidIn(this.dialog.querySelector(".said"));
  }

  /** Return what buttons and keys do. */
  makeActs() {
    return {
      move: (by) => this.move(by), compare: () => this.compare(), rival: (index, repeat) => this.rival(index, repeat),
      flip: () => this.stage.flip(), turn: (by) => this.turn(by), before: () => this.turn(-1), next: () => this.turn(1),
      whole: () => this.stage.whole(), larger: () => this.stage.zoomBy(1.2), smaller: () => this.stage.zoomBy(1 / 1.2),
      rate: this.judge.give, reject: this.judge.refuse, undo: this.judge.undo, write: () => this.dialog.querySelector(".note")?.focus(),
      panel: () => this.togglePanel(), save: () => this.dialog.querySelector(".save")?.click(),
      help: () => this.dialog.querySelector(".help")?.toggleAttribute("open"), leave: () => this.leave(),
    };
  }

  makeDialog() {
    const dialog = document.createElement("dialog");
    dialog.className = "viewer";
    dialog.tabIndex = -1;
    dialog.setAttribute("aria-label", "Picture");
    dialog.addEventListener("cancel", (event) => (event.preventDefault(), this.leave()));
    dialog.addEventListener("click", ({ detail, target }) => detail && target.closest("button") && dialog.focus()); // a space flips then, and presses nothing again
    return dialog;
  }

  draw() {
    if (!this.dialog.isConnected) return; // it was closed while something was awaited
    const one = subjectOf(this.key, this.part);
    const two = this.other ? subjectOf(this.other, this.part) : null;
    this.dialog.classList.toggle("with-panel", this.isPanel && Boolean(one));
    render(html`${one ? this.page(one, two) : this.absent()}<div class="said" role="status" aria-live="polite"></div>`, this.dialog);
    if (!one) return;
    this.stage.settle();
    this.preload(one, two);
    document.title = `${one.name}, ${one.condition} – ${state.open.status.experiment_name} – variantbus`;
  }

  page(one, two) {
    const shown = [one, two].filter((each) => each?.image).map((each) => ({ image: each.image, label: two && two.repeat === one.repeat ? each.name : `${each.name}, ${each.condition}`, stars: ratingOf(each.image.sha256)?.stars ?? 0 }));
    const seen = two && this.stage.isFlipped() ? two : one;
    return html`
      ${barOf(one, two, { isOpen: this.isPanel, act: this.acts })}
      <div class="scene">
        ${this.stage.template(shown, this.otherwise(one))}
        <button class="go before" aria-label="The picture before" @click=${() => this.move([this.isRow ? -1 : 0, this.isRow ? 0 : -1])}>‹</button>
        <button class="go next" aria-label="The next picture" @click=${() => this.move([this.isRow ? 1 : 0, this.isRow ? 0 : 1])}>›</button>
      </div>
      ${this.isPanel ? html`<aside tabindex="0" aria-label="Settings and job">${this.panel(one, two)}</aside>` : ""}
      <div class="below">${two ? rivalOf(two, this.acts) : ""}${starsOf(seen, seen.image && ratingOf(seen.image.sha256), this.judge)}</div>
      ${this.film(one, two)}`;
  }

  /** Return what stands in the place of a picture. */
  otherwise(one) {
    if (!wordOf(one)) return filesView(one.files);
    return html`<div class="instead"><p class="word">${wordOf(one)}</p>${one.cell?.state === "failed" && !isShared ? retryButtons(one, (isAll) => this.retry(one, isAll)) : ""}</div>`;
  }

  absent() {
    const text = state.open?.status ? `There is no picture ${this.key} in this experiment.` : state.open?.error || "Loading …";
    return html`<p class="word">${text}</p><p><button @click=${() => this.leave()}>To the grid</button></p>`;
  }

  panel(one, two) {
    const known = one.cell?.jobId && !isShared ? jobOf(one.cell.jobId, one.cell.state, () => this.draw()) : null;
    return panelOf(one, two ? this.referenceOf(two) : this.neighbour(), known);
  }

  /** Return what its settings are compared with: the one before it in its line, or the one behind it. */
  neighbour() {
    const place = this.locateHere();
    const [back, on] = this.isRow ? [[-1, 0], [1, 0]] : [[0, -1], [0, 1]];
    const found = place && (step(this.grid(), place, back) ?? step(this.grid(), place, on));
    return found ? this.referenceOf(subjectOf(found)) : null;
  }

  referenceOf(subject) {
    const isAlike = subject?.condition === subjectOf(this.key).condition;
    return subject && { settings: subject.settings, label: isAlike ? subject.name : `${subject.name}, ${subject.condition}` };
  }

  film(one, two) {
    const place = this.locateHere();
    const line = place && lineThrough(this.grid(), place, this.isRow);
    const across = place && lineThrough(this.grid(), place, !this.isRow).count > 1;
    if (!line || (line.count < 2 && !across)) return "";
    return this.strip.template(line, { current: one.key, compared: two?.key ?? null, isRow: this.isRow, others: across ? (this.isRow ? "Show the column instead" : "Show the row instead") : "" });
  }

  /** Return what the grid shows, or all values and seeds where it does not show this picture. */
  grid() {
    const shown = this.order();
    return shown && locate(shown, this.key) ? shown : whole();
  }

  locateHere() {
    return locate(this.grid(), this.key);
  }

  /** Show another cell; the address follows, and the viewer stays one entry of the history. */
  show({ key = this.key, part = 0, other = this.other }) {
    this.judge.send();
    Object.assign(this, { key, part, other });
    replaceRoute(linkTo(["e", this.id, "grid", this.key, ...(this.part ? [String(this.part + 1)] : [])], { with: this.other }));
    this.draw();
  }

  move(by) {
    if (this.other) {
      const [first, second] = stepBoth(this.grid(), this.key, this.other, by);
      if (first !== this.key || second !== this.other) this.show({ key: first, other: second });
      return;
    }
    const place = this.locateHere();
    const found = place && step(this.grid(), place, by);
    if (found) this.show({ key: found });
  }

  /** A choice in the filmstrip is the second picture while two are compared. */
  pick(chosen) {
    if (!this.other) this.show({ key: chosen });
    else if (chosen !== this.key) this.show({ other: chosen });
  }

  turn(by) {
    const count = subjectOf(this.key)?.results.length ?? 0;
    if (count > 1) this.show({ part: (this.part + by + count) % count });
  }

  /** Compare with the recommended value, else with a neighbour, or no more. */
  compare() {
    this.stage.flip(null);
    const place = this.locateHere();
    const near = place ? [[1, 0], [-1, 0], [0, 1], [0, -1]].map((by) => step(this.grid(), place, by)).filter(Boolean) : [];
    const seen = near.filter((one) => state.open.cells.get(one)?.images.length);
    const second = this.other ? null : (rivalsOf(subjectOf(this.key))[0] ?? seen[0] ?? near[0] ?? null);
    if (!this.other && !second) return say("There is no other picture yet.");
    this.show({ other: second });
  }

  turnStrip() {
    this.isRow = !this.isRow;
    this.draw();
  }

  rival(index, repeat) {
    this.show({ other: `${index}.${repeat}` });
  }

  togglePanel() {
    this.isPanel = !this.isPanel;
    localStorage.setItem(PANEL, this.isPanel ? "open" : "closed");
    this.draw();
  }

  /** Return the picture that stars are for: the one that is seen, of two beside each other the first one. */
  seenImage() {
    const seen = subjectOf(this.other && this.stage.isFlipped() ? this.other : this.key, this.part)?.image;
    return seen && !this.dialog.querySelector(".stage .unseen:not([hidden])") ? seen : null;
  }

  async retry({ variant, repeat }, isAll) {
    try {
      await post(of(this.id, "retry"), { variants: [variant.variant_index], ...(isAll ? {} : { repeats: [repeat] }) });
      say(isAll ? "The failed jobs of this value run again." : "The job runs again.");
    } catch (error) {
      complain(error.message);
    }
  }

  /** Load the pictures around ahead. */
  preload(...subjects) {
    for (const from of subjects.filter(Boolean)) {
      const place = locate(this.grid(), from.key);
      const around = place ? Object.values(STEPS).map((by) => step(this.grid(), place, by)) : [];
      for (const image of around.map((one) => one && subjectOf(one).image)) {
        if (!image || this.warm.has(image.sha256) || kindOf(image) !== "picture") continue;
        this.warm.set(image.sha256, Object.assign(new Image(), { src: picture(image.sha256, false) }));
        if (this.warm.size > WARM) this.warm.delete(this.warm.keys().next().value);
      }
    }
  }

  onkey(event) {
    const wanted = event.target === document.body || this.dialog.contains(event.target) ? asked(event) : null;
    if (!wanted || (wanted[0] === "flip" && !this.other)) return;
    event.preventDefault();
    if (isShared && CHANGES.has(wanted[0])) say("This page only shows the experiment.");
    else this.acts[wanted[0]](wanted[1]);
  }

  /** Go back to the grid: by the history where it is the entry before, so that no entry stays behind. */
  leave() {
    if (history.state?.isAbove) return history.back();
    replaceRoute(linkTo(["e", this.id, "grid"]));
    dispatchEvent(new HashChangeEvent("hashchange"));
  }

  go(route) {
    Object.assign(this, placeOf(route));
    this.draw();
  }

  update(changes) {
    if (changes.size) this.draw();
  }

  close() {
    this.judge.send();
    this.unsaid();
    this.listening.abort();
    this.dialog.close();
    this.dialog.remove();
    if (state.open?.status) document.title = `${state.open.status.experiment_name} – variantbus`;
    this.onclose(this.key);
  }
}

/** Return the place that an address names; what cannot be one is cell "?", of which the viewer says that there is none. */
function placeOf({ part: [key = "", number = "1"], query }) {
  const other = query.get("with");
  return { key: CELL.test(key) ? key : "?", part: Math.max(0, Number.parseInt(number, 10) - 1) || 0, other: CELL.test(other ?? "") && other !== key ? other : null };
}

/** Return what a small picture of the filmstrip shows: what tells it from the others of its line. */
function tileOf(place, line) {
  const subject = subjectOf(place.key);
  const image = subject.image;
  const others = [line.at(0), line.at(line.count - 1)].map((one) => one.variant).filter((one) => one && one !== place.variant);
  const label = others.length ? partsText(differing(place.variant.variant_value, others[0].variant_value)) : conditionText(subject.definition, place.repeat);
  return { label, image, word: wordOf(subject) };
}

/** Return the parts of a value that are not the same in another one. */
function differing(value, other) {
  if (value === null || typeof value !== "object" || other === null || typeof other !== "object") return value;
  const parts = Object.entries(value).filter(([name, part]) => part !== other[name]);
  return parts.length ? Object.fromEntries(parts) : value;
}

/** Return the values of a map without their names, which the line above the picture has. */
function partsText(value) {
  return value !== null && typeof value === "object" ? Object.values(value).map(valueText).join(", ") : valueText(value);
}
