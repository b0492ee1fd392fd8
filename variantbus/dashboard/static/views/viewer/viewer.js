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
import { stageOf } from "./stage.js";
import { stripOf } from "./strip.js";
import { rivalsOf, subjectOf, whole, wordOf } from "./subject.js";

const CELL = /^\d+\.\d+$/;
const PANEL = "viewer panel"; // whether it is open, kept for the next picture
const WIDE = "(min-width: 60rem)";
const CHANGES = new Set(["rate", "reject", "undo", "write"]); // what a shared page cannot do
const WARM = 12; // pictures that are loaded ahead

/**
 * Open the viewer at an address of the grid. `order()` returns what the grid shows, as places.js says, or null before there is data;
 * `isAbove` says whether the grid is the entry before this one in the history, `onclose(key)` is told the last picture.
 */
export function openViewer(id, { route, order, isAbove, onclose }) {
  let { key, part, other } = placeOf(route);
  let isRow = true; // whether the filmstrip is the row or the column
  let isPanel = localStorage.getItem(PANEL) ? localStorage.getItem(PANEL) === "open" : matchMedia(WIDE).matches;
  let unsaid = () => {};
  const warm = new Map(); // hash -> a picture that is loaded ahead
  const stage = stageOf({ onswipe: move, onflip: draw });
  const strip = stripOf({ onpick: pick, onturn: () => ((isRow = !isRow), draw()), redraw: draw, tileOf });
  const judge = judgeOf(id, { seen: seenImage, leave: () => (draw(), dialog.focus()) });
  const acts = {
    move, compare, flip: () => stage.flip(), rival, turn, before: () => turn(-1), next: () => turn(1),
    whole: stage.whole, larger: () => stage.zoomBy(1.2), smaller: () => stage.zoomBy(1 / 1.2),
    rate: judge.give, reject: judge.refuse, undo: judge.undo, write: () => dialog.querySelector(".note")?.focus(),
    panel: togglePanel, save: () => dialog.querySelector(".save")?.click(), help: () => dialog.querySelector(".help")?.toggleAttribute("open"), leave,
  };
  const dialog = document.createElement("dialog");
  dialog.className = "viewer";
  dialog.tabIndex = -1;
  dialog.setAttribute("aria-label", "Picture");
  document.addEventListener("keydown", onkey); // a button that vanishes leaves the focus outside of the dialog
  dialog.addEventListener("cancel", (event) => (event.preventDefault(), leave()));
  dialog.addEventListener("click", ({ detail, target }) => detail && target.closest("button") && dialog.focus()); // a space flips then, and presses nothing again
  if (isAbove) history.replaceState({ ...history.state, isAbove: true }, "");
  document.body.append(dialog);
  draw();
  dialog.showModal();
  dialog.focus();
  draw(); // now that the widths are known
  unsaid = saidIn(dialog.querySelector(".said"));

  function draw() {
    if (!dialog.isConnected) return; // it was closed while something was awaited
    const one = subjectOf(key, part);
    const two = other ? subjectOf(other, part) : null;
    dialog.classList.toggle("with-panel", isPanel && Boolean(one));
    render(html`${one ? page(one, two) : absent()}<div class="said" role="status" aria-live="polite"></div>`, dialog);
    if (!one) return;
    stage.settle();
    preload(one, two);
    document.title = `${one.name}, ${one.condition} – ${state.open.status.experiment_name} – variantbus`;
  }

  function page(one, two) {
    const shown = [one, two].filter((each) => each?.image).map((each) => ({ image: each.image, label: two && two.repeat === one.repeat ? each.name : `${each.name}, ${each.condition}`, stars: ratingOf(each.image.sha256)?.stars ?? 0 }));
    const seen = two && stage.isFlipped() ? two : one;
    return html`
      ${barOf(one, two, { isOpen: isPanel, act: acts })}
      <div class="scene">
        ${stage.template(shown, otherwise(one))}
        <button class="go before" aria-label="The picture before" @click=${() => move([isRow ? -1 : 0, isRow ? 0 : -1])}>‹</button>
        <button class="go next" aria-label="The next picture" @click=${() => move([isRow ? 1 : 0, isRow ? 0 : 1])}>›</button>
      </div>
      ${isPanel ? html`<aside tabindex="0" aria-label="Settings and job">${panel(one, two)}</aside>` : ""}
      <div class="below">${two ? rivalOf(two, acts) : ""}${starsOf(seen, seen.image && ratingOf(seen.image.sha256), judge)}</div>
      ${film(one, two)}`;
  }

  /** Return what stands in the place of a picture. */
  function otherwise(one) {
    if (!wordOf(one)) return filesView(one.files);
    return html`<div class="instead"><p class="word">${wordOf(one)}</p>${one.cell?.state === "failed" && !isShared ? retryButtons(one, (isAll) => retry(one, isAll)) : ""}</div>`;
  }

  function absent() {
    const text = state.open?.status ? `There is no picture ${key} in this experiment.` : state.open?.error || "Loading …";
    return html`<p class="word">${text}</p><p><button @click=${leave}>To the grid</button></p>`;
  }

  function panel(one, two) {
    const known = one.cell?.jobId && !isShared ? jobOf(one.cell.jobId, one.cell.state, draw) : null;
    return panelOf(one, two ? referenceOf(two) : neighbour(), known);
  }

  /** Return what its settings are compared with: the one before it in its line, or the one behind it. */
  function neighbour() {
    const place = locateHere();
    const [back, on] = isRow ? [[-1, 0], [1, 0]] : [[0, -1], [0, 1]];
    const found = place && (step(grid(), place, back) ?? step(grid(), place, on));
    return found ? referenceOf(subjectOf(found)) : null;
  }

  function referenceOf(subject) {
    const isAlike = subject?.condition === subjectOf(key).condition;
    return subject && { settings: subject.settings, label: isAlike ? subject.name : `${subject.name}, ${subject.condition}` };
  }

  function film(one, two) {
    const place = locateHere();
    const line = place && lineThrough(grid(), place, isRow);
    const across = place && lineThrough(grid(), place, !isRow).count > 1;
    if (!line || (line.count < 2 && !across)) return "";
    return strip.template(line, { current: one.key, compared: two?.key ?? null, isRow, others: across ? (isRow ? "Show the column instead" : "Show the row instead") : "" });
  }

  /** Return what a small picture of the filmstrip shows: what tells it from the others of its line. */
  function tileOf(place, line) {
    const subject = subjectOf(place.key);
    const image = subject.image;
    const others = [line.at(0), line.at(line.count - 1)].map((one) => one.variant).filter((one) => one && one !== place.variant);
    const label = others.length ? partsText(differing(place.variant.variant_value, others[0].variant_value)) : conditionText(subject.definition, place.repeat);
    return { label, image, word: wordOf(subject) };
  }

  /** Return what the grid shows, or all values and seeds where it does not show this picture. */
  function grid() {
    const shown = order();
    return shown && locate(shown, key) ? shown : whole();
  }

  function locateHere() {
    return locate(grid(), key);
  }

  /** Show another cell; the address follows, and the viewer stays one entry of the history. */
  function show(next) {
    judge.send();
    ({ key = key, part = 0, other = other } = next);
    replaceRoute(linkTo(["e", id, "grid", key, ...(part ? [String(part + 1)] : [])], { with: other }));
    draw();
  }

  function move(by) {
    if (other) {
      const [first, second] = stepBoth(grid(), key, other, by);
      if (first !== key || second !== other) show({ key: first, other: second });
      return;
    }
    const place = locateHere();
    const found = place && step(grid(), place, by);
    if (found) show({ key: found });
  }

  /** A choice in the filmstrip is the second picture while two are compared. */
  function pick(chosen) {
    if (!other) show({ key: chosen });
    else if (chosen !== key) show({ other: chosen });
  }

  function turn(by) {
    const count = subjectOf(key)?.results.length ?? 0;
    if (count > 1) show({ part: (part + by + count) % count });
  }

  /** Compare with the recommended value, else with a neighbour, or no more. */
  function compare() {
    stage.flip(null);
    const place = locateHere();
    const near = place ? [[1, 0], [-1, 0], [0, 1], [0, -1]].map((by) => step(grid(), place, by)).filter(Boolean) : [];
    const seen = near.filter((one) => state.open.cells.get(one)?.images.length);
    const second = other ? null : (rivalsOf(subjectOf(key))[0] ?? seen[0] ?? near[0] ?? null);
    if (!other && !second) return say("There is no other picture yet.");
    show({ other: second });
  }

  function rival(index, repeat) {
    show({ other: `${index}.${repeat}` });
  }

  function togglePanel() {
    isPanel = !isPanel;
    localStorage.setItem(PANEL, isPanel ? "open" : "closed");
    draw();
  }

  /** Return the picture that stars are for: the one that is seen, of two beside each other the first one. */
  function seenImage() {
    const seen = subjectOf(other && stage.isFlipped() ? other : key, part)?.image;
    return seen && !dialog.querySelector(".stage .unseen:not([hidden])") ? seen : null;
  }

  async function retry({ variant, repeat }, isAll) {
    try {
      await post(of(id, "retry"), { variants: [variant.variant_index], ...(isAll ? {} : { repeats: [repeat] }) });
      say(isAll ? "The failed jobs of this value run again." : "The job runs again.");
    } catch (error) {
      complain(error.message);
    }
  }

  /** Load the pictures around ahead. */
  function preload(...subjects) {
    for (const from of subjects.filter(Boolean)) {
      const place = locate(grid(), from.key);
      const around = place ? Object.values(STEPS).map((by) => step(grid(), place, by)) : [];
      for (const image of around.map((one) => one && subjectOf(one).image)) {
        if (!image || warm.has(image.sha256) || kindOf(image) !== "picture") continue;
        warm.set(image.sha256, Object.assign(new Image(), { src: picture(image.sha256, false) }));
        if (warm.size > WARM) warm.delete(warm.keys().next().value);
      }
    }
  }

  function onkey(event) {
    const wanted = event.target === document.body || dialog.contains(event.target) ? asked(event) : null;
    if (!wanted || (wanted[0] === "flip" && !other)) return;
    event.preventDefault();
    if (isShared && CHANGES.has(wanted[0])) say("This page only shows the experiment.");
    else acts[wanted[0]](wanted[1]);
  }

  /** Go back to the grid: by the history where it is the entry before, so that no entry stays behind. */
  function leave() {
    if (history.state?.isAbove) return history.back();
    replaceRoute(linkTo(["e", id, "grid"]));
    dispatchEvent(new HashChangeEvent("hashchange"));
  }

  return {
    go(to) {
      ({ key, part, other } = placeOf(to));
      draw();
    },
    update(changes) {
      if (changes.size) draw();
    },
    close() {
      judge.send();
      unsaid();
      document.removeEventListener("keydown", onkey);
      dialog.close();
      dialog.remove();
      if (state.open?.status) document.title = `${state.open.status.experiment_name} – variantbus`;
      onclose(key);
    },
  };
}

/** Return the place that an address names; what cannot be one is cell "?", of which the viewer says that there is none. */
function placeOf({ part: [key = "", number = "1"], query }) {
  const other = query.get("with");
  return { key: CELL.test(key) ? key : "?", part: Math.max(0, Number.parseInt(number, 10) - 1) || 0, other: CELL.test(other ?? "") && other !== key ? other : null };
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
