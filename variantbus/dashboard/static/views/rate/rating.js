// Rating by keyboard, mouse and finger: one picture after the other with stars, or two side by side.

import { html, nothing, render } from "../../base/html.js";
import { linkTo, replaceRoute } from "../../base/routes.js";
import { complain } from "../../base/toast.js";
import { get, of } from "../../data/api.js";
import { live, pictures, state } from "../../data/state.js";
import { entriesOf, hint, onJudged, waiting } from "../../feedback/judging.js";
import { decideBy, isOfPeople, objectiveNow, objectiveText } from "../../feedback/objective.js";
import { askedAbout } from "../../results/media.js";
import { barOf } from "./bar.js";
import { historyOf } from "./history.js";
import { PairRating } from "./pair.js";
import { Shots } from "./shots.js";
import { StarRating } from "./single.js";
import { Zoom } from "./zoom.js";

export class RatingView {
  constructor(id, { query } = {}) {
    this.id = id;
    this.element = document.createElement("section");
    this.element.className = "rating";
    this.stage = document.createElement("div");
    this.stage.className = "stage";
    this.shots = new Shots(() => this.later());
    this.told = new Set(); // what went wrong, said once
    this.isTwo = query?.has("two") ? query.get("two") === "1" : null; // null: as what decides the experiment
    this.isBlind = query?.get("values") !== "1";
    this.isFull = false;
    this.isHistory = false;
    this.isDrawn = true;
    this.isLive = false; // all services answer
    this.why = ""; // nothing comes, "" if all is well
    this.known = { all: null, isBlind: this.isBlind, ordered: [] }; // the pictures in rating order
    hint({ experiment: id }, true); // this page says by itself what decides
    this.modes = this.makeModes();
    this.zoom = new Zoom(this.stage, { swiped: (way) => this.mode().swiped(way), changed: () => this.draw() });
    this.history = historyOf({ id, close: () => this.showHistory(false), show: (sha256) => this.showAgain(sha256), draw: () => this.draw() });
    this.unjudged = onJudged(({ entry, error }) => entry.experiment === id && error && this.mode().refused(entry));
    this.listening = new AbortController();
    document.addEventListener("keydown", (event) => this.key(event), { signal: this.listening.signal });
    document.addEventListener("fullscreenchange", () => this.screenChanged(), { signal: this.listening.signal });
  }

  makeModes() {
    const parts = {
      id: this.id,
      shots: this.shots,
      ask: (what, passed) => this.ask(what, passed),
      ordered: () => this.ordered(),
      draw: () => this.later(),
      isTold: () => !this.isBlind,
      why: () => this.why,
    };
    return { one: new StarRating(parts), two: new PairRating(parts) };
  }

  mode() {
    return this.isTwo ? this.modes.two : this.modes.one;
  }

  /** Return the pictures in rating order: shuffled, always in the same way, where nobody knows their values. */
  ordered() {
    const all = pictures();
    if (this.known.all !== all || this.known.isBlind !== this.isBlind) {
      const asked = askedAbout(all, ({ image }) => image);
      this.known = { all, isBlind: this.isBlind, ordered: this.isBlind ? asked.toSorted((one, other) => one.shuffle - other.shuffle) : asked };
    }
    return this.known.ordered;
  }

  /** Ask the service what comes next; return undefined where it does not answer. */
  async ask(what, passed) {
    const waitingOnes = entriesOf(this.id).map((one) => one.body);
    try {
      const found = await get(`${of(this.id, what)}?passed=${passed(waitingOnes).join(",")}`);
      this.told.clear();
      this.why = "";
      return found;
    } catch (error) {
      this.why = error.message;
      if (!error.isAway && !this.told.has(error.message)) complain(error.message);
      this.told.add(error.message);
      return undefined;
    }
  }

  /** Draw once for all that changes at once. */
  later() {
    if (!this.isDrawn) return;
    this.isDrawn = false;
    queueMicrotask(() => ((this.isDrawn = true), this.draw()));
  }

  draw() {
    if (!state.open?.isLoaded) return render(html`<p class="word">…</p>`, this.element);
    const view = this.mode();
    const bar = barOf({
      progress: view.progress(),
      isBlind: this.isBlind,
      isTwo: this.isTwo,
      isFull: this.isFull,
      isHistory: this.isHistory,
      isZoomed: this.zoom.isZoomed,
      link: linkTo(["e", this.id, "grid"]),
      setBlind: (wanted) => ((this.isBlind = wanted), this.restart()),
      setTwo: (wanted) => ((this.isTwo = wanted), this.restart()),
      setFull: (wanted) => this.setFull(wanted),
      zoom: view.canZoom() ? () => this.zoom.step() : null,
      showHistory: (wanted) => this.showHistory(wanted),
    });
    render(
      html`${bar}${this.decided()}
        <div class="work">
          <div class="main">${view.above()}${this.stageOf(view)}${view.below()}${trouble()}</div>
          ${this.isHistory ? this.history.view(this.isTwo) : nothing}
        </div>`,
      this.element,
    );
    view.drawn(this.stage);
    this.zoom.place();
  }

  stageOf(view) {
    const { content, kind, key: shown } = view.stage();
    if (this.stage.dataset.shown !== shown) this.zoom.reset();
    this.stage.dataset.shown = shown;
    this.stage.className = `stage ${kind}`;
    this.stage.classList.toggle("zoomed", this.zoom.isZoomed);
    render(content, this.stage);
    return this.stage;
  }

  /** Say so before the first answer where something else decides the experiment, and offer to change that. */
  decided() {
    const objective = objectiveNow();
    const [wanted, what] = this.isTwo ? ["preference", "comparisons"] : ["stars", "stars"];
    if (objective === wanted) return nothing;
    const other = this.isTwo ? "Give stars instead" : "Compare two at a time instead";
    return html`<p class="hint">
      <span>${this.isTwo ? "Comparisons" : "Stars"} decide nothing here: this experiment is decided by ${objectiveText(objective)}. They are kept all the same.</span>
      <button class="primary" @click=${() => decideBy(this.id, { objective: wanted })}>Let ${what} decide</button>
      ${isOfPeople(objective) ? html`<button @click=${() => ((this.isTwo = !this.isTwo), this.restart())}>${other}</button>` : nothing}
    </p>`;
  }

  restart() {
    replaceRoute(linkTo(["e", this.id, "rate"], { two: this.isTwo === (objectiveNow() === "preference") ? "" : Number(this.isTwo), values: !this.isBlind && 1 }));
    this.modes.one.restart();
    this.modes.two.restart();
    this.zoom.reset();
    this.mode().begin();
    this.draw();
  }

  showAgain(sha256) {
    if (this.isTwo) {
      this.isTwo = false;
      this.restart();
    }
    this.modes.one.show(sha256);
  }

  showHistory(wanted) {
    this.isHistory = wanted;
    this.draw();
    (wanted ? this.element.querySelector(".history button") : this.element.querySelector(".historybutton"))?.focus();
  }

  /** Let the pictures have the whole window, and the whole screen where the browser can. */
  async setFull(wanted) {
    this.isFull = wanted;
    document.documentElement.classList.toggle("full", this.isFull);
    this.draw();
    const ask = wanted ? document.documentElement.requestFullscreen?.() : document.fullscreenElement && document.exitFullscreen();
    await ask?.catch(() => {}); // the window is filled all the same
  }

  screenChanged() {
    if (!document.fullscreenElement && this.isFull) this.setFull(false);
  }

  /** Close what is open, the innermost first; return whether there was something. */
  escape() {
    if (this.zoom.isZoomed) this.zoom.reset();
    else if (this.isHistory) this.showHistory(false);
    else if (this.isFull) this.setFull(false);
    else return false;
    return true;
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("dialog")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    if (event.target.matches("video, audio") && /^(Arrow| )/.test(event.key)) return; // it goes on or back
    const keys = { f: () => this.setFull(!this.isFull), h: () => this.showHistory(!this.isHistory), z: () => this.mode().canZoom() && this.zoom.step(), Escape: () => this.escape() };
    if (event.repeat && !event.key.startsWith("Arrow")) return; // a key that is held down rates one picture
    const isDone = keys[event.key] ? keys[event.key]() !== false : this.mode().key(event);
    if (isDone) event.preventDefault();
  }

  update(changes) {
    if (!state.open?.isLoaded) return this.draw();
    const isFirst = this.isTwo === null;
    if (isFirst) this.isTwo = objectiveNow() === "preference";
    const wasLive = this.isLive;
    ({ isLive: this.isLive } = live());
    if (this.isLive && !wasLive) this.shots.retry();
    if (changes.has("all") || isFirst) this.mode().begin();
    else this.mode().update(changes);
    this.draw();
  }

  close() {
    this.unjudged();
    this.listening.abort();
    if (this.isFull) this.setFull(false);
  }
}

/** Say that answers wait, and why. */
function trouble() {
  const { count, trouble: why } = waiting();
  if (!why) return nothing;
  return html`<p class="trouble" role="status">${count === 1 ? "1 answer of yours waits" : `${count} answers of yours wait`} to be saved, and will be by itself: ${why}</p>`;
}
