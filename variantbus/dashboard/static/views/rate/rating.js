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
import { pairRating } from "./pair.js";
import { Shots } from "./shots.js";
import { starRating } from "./single.js";
import { zoomOf } from "./zoom.js";

export function ratingView(id, { query } = {}) {
  const element = document.createElement("section");
  const stage = document.createElement("div");
  const shots = new Shots(later);
  const told = new Set(); // what went wrong, said once
  let isTwo = query?.has("two") ? query.get("two") === "1" : null; // null: as what decides the experiment
  let isBlind = query?.get("values") !== "1";
  let isFull = false;
  let isHistory = false;
  let isDrawn = true;
  let isLive = false; // all services answer
  let why = ""; // nothing comes, "" if all is well
  let known = { all: null, isBlind, ordered: [] }; // the pictures in rating order
  element.className = "rating";
  stage.className = "stage";
  hint({ experiment: id }, true); // this page says by itself what decides
  const parts = { id, shots, ask, ordered, draw: later, isTold: () => !isBlind, why: () => why };
  const modes = { one: starRating(parts), two: pairRating(parts) };
  const zoom = zoomOf(stage, { swiped: (way) => mode().swiped(way), changed: draw });
  const history = historyOf({ id, close: () => showHistory(false), show: (sha256) => showAgain(sha256), draw });
  const unjudged = onJudged(({ entry, error }) => entry.experiment === id && error && mode().refused(entry));
  document.addEventListener("keydown", key);
  document.addEventListener("fullscreenchange", screenChanged);

  function mode() {
    return isTwo ? modes.two : modes.one;
  }

  /** Return the pictures in rating order: shuffled, always in the same way, where nobody knows their values. */
  function ordered() {
    const all = pictures();
    if (known.all !== all || known.isBlind !== isBlind) {
      const asked = askedAbout(all, ({ image }) => image);
      known = { all, isBlind, ordered: isBlind ? asked.toSorted((one, other) => one.shuffle - other.shuffle) : asked };
    }
    return known.ordered;
  }

  /** Ask the service what comes next; return undefined where it does not answer. */
  async function ask(what, passed) {
    const waitingOnes = entriesOf(id).map((one) => one.body);
    try {
      const found = await get(`${of(id, what)}?passed=${passed(waitingOnes).join(",")}`);
      told.clear();
      why = "";
      return found;
    } catch (error) {
      why = error.message;
      if (!error.isAway && !told.has(error.message)) complain(error.message);
      told.add(error.message);
      return undefined;
    }
  }

  /** Draw once for all that changes at once. */
  function later() {
    if (!isDrawn) return;
    isDrawn = false;
    queueMicrotask(() => ((isDrawn = true), draw()));
  }

  function draw() {
    if (!state.open?.isLoaded) return render(html`<p class="word">…</p>`, element);
    const view = mode();
    const bar = barOf({
      progress: view.progress(),
      isBlind,
      isTwo,
      isFull,
      isHistory,
      isZoomed: zoom.isZoomed,
      link: linkTo(["e", id, "grid"]),
      setBlind: (wanted) => ((isBlind = wanted), restart()),
      setTwo: (wanted) => ((isTwo = wanted), restart()),
      setFull,
      zoom: view.canZoom() ? zoom.step : null,
      showHistory,
    });
    render(
      html`${bar}${decided()}
        <div class="work">
          <div class="main">${view.above()}${stageOf(view)}${view.below()}${trouble()}</div>
          ${isHistory ? history.view(isTwo) : nothing}
        </div>`,
      element,
    );
    view.drawn?.(stage);
    zoom.place();
  }

  function stageOf(view) {
    const { content, kind, key: shown } = view.stage();
    if (stage.dataset.shown !== shown) zoom.reset();
    stage.dataset.shown = shown;
    stage.className = `stage ${kind}`;
    stage.classList.toggle("zoomed", zoom.isZoomed);
    render(content, stage);
    return stage;
  }

  /** Say so before the first answer where something else decides the experiment, and offer to change that. */
  function decided() {
    const objective = objectiveNow();
    const [wanted, what] = isTwo ? ["preference", "comparisons"] : ["stars", "stars"];
    if (objective === wanted) return nothing;
    const other = isTwo ? "Give stars instead" : "Compare two at a time instead";
    return html`<p class="hint">
      <span>${isTwo ? "Comparisons" : "Stars"} decide nothing here: this experiment is decided by ${objectiveText(objective)}. They are kept all the same.</span>
      <button class="primary" @click=${() => decideBy(id, { objective: wanted })}>Let ${what} decide</button>
      ${isOfPeople(objective) ? html`<button @click=${() => ((isTwo = !isTwo), restart())}>${other}</button>` : nothing}
    </p>`;
  }

  function trouble() {
    const { count, trouble: why } = waiting();
    if (!why) return nothing;
    return html`<p class="trouble" role="status">${count === 1 ? "1 answer of yours waits" : `${count} answers of yours wait`} to be saved, and will be by itself: ${why}</p>`;
  }

  function restart() {
    replaceRoute(linkTo(["e", id, "rate"], { two: isTwo === (objectiveNow() === "preference") ? "" : Number(isTwo), values: !isBlind && 1 }));
    modes.one.restart();
    modes.two.restart();
    zoom.reset();
    mode().begin();
    draw();
  }

  function showAgain(sha256) {
    if (isTwo) {
      isTwo = false;
      restart();
    }
    modes.one.show(sha256);
  }

  function showHistory(wanted) {
    isHistory = wanted;
    draw();
    (wanted ? element.querySelector(".history button") : element.querySelector(".historybutton"))?.focus();
  }

  /** Let the pictures have the whole window, and the whole screen where the browser can. */
  async function setFull(wanted) {
    isFull = wanted;
    document.documentElement.classList.toggle("full", isFull);
    draw();
    const ask = wanted ? document.documentElement.requestFullscreen?.() : document.fullscreenElement && document.exitFullscreen();
    await ask?.catch(() => {}); // the window is filled all the same
  }

  function screenChanged() {
    if (!document.fullscreenElement && isFull) setFull(false);
  }

  /** Close what is open, the innermost first; return whether there was something. */
  function escape() {
    if (zoom.isZoomed) zoom.reset();
    else if (isHistory) showHistory(false);
    else if (isFull) setFull(false);
    else return false;
    return true;
  }

  function key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("dialog")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    if (event.target.matches("video, audio") && /^(Arrow| )/.test(event.key)) return; // it goes on or back
    const keys = { f: () => setFull(!isFull), h: () => showHistory(!isHistory), z: () => mode().canZoom() && zoom.step(), Escape: escape };
    if (event.repeat && !event.key.startsWith("Arrow")) return; // a key that is held down rates one picture
    const isDone = keys[event.key] ? keys[event.key]() !== false : mode().key(event);
    if (isDone) event.preventDefault();
  }

  function update(changes) {
    if (!state.open?.isLoaded) return draw();
    const isFirst = isTwo === null;
    if (isFirst) isTwo = objectiveNow() === "preference";
    const wasLive = isLive;
    ({ isLive } = live());
    if (isLive && !wasLive) shots.retry();
    if (changes.has("all") || isFirst) mode().begin();
    else mode().update(changes);
    draw();
  }

  return {
    element,
    update,
    close() {
      unjudged();
      document.removeEventListener("keydown", key);
      document.removeEventListener("fullscreenchange", screenChanged);
      if (isFull) setFull(false);
    },
  };
}
