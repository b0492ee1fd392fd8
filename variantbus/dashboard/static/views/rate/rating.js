// Rating by keyboard: one picture after the other with stars, or two side by side. Unfinished input is kept.

import { get, of, post } from "../../data/api.js";
import { h, fill, stars } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { askedAbout, fullView, kindOf, together } from "../../results/media.js";
import { pictures, state } from "../../data/state.js";
import { decideBy, objectiveNow } from "../../feedback/objective.js";
import { conditionText, valueText } from "../../data/values.js";

const PASSED = 100; // pictures that a request names at most, so that its address is no longer than proxies take

export function ratingView(id) {
  let isBlind = true;
  let isPairs = false;
  let shown = null; // { sha256, variant, repeat } or { left, right }
  let place = 0;
  let isAsking = false;
  let isChoosing = false;
  const passed = new Set(); // pictures that nobody wants to rate now
  const stop = h("p", { class: "enough", hidden: true });
  const hint = h("p", { class: "hint" });
  const stage = h("div", { class: "stage" });
  const about = h("div", { class: "about", role: "status" });
  const note = h("input", { placeholder: "a note, sent with the stars", "aria-label": "Note", maxlength: 2000 });
  const buttons = h("div", { class: "row" });
  const keys = h("p", { class: "keys" });
  const count = h("p", { class: "facts" });
  const blind = h("input", { type: "checkbox", checked: true, onchange: () => ((isBlind = blind.checked), restart()) });
  const pairs = h("input", { type: "checkbox", onchange: () => ((isPairs = pairs.checked), restart()) });
  const element = h(
    "section",
    { class: "rating" },
    h("div", { class: "bar" }, h("label", { class: "check" }, blind, " blind"), h("label", { class: "check" }, pairs, " two at a time"), h("span", { class: "space" }), count),
    hint,
    stop,
    stage,
    about,
    note,
    buttons,
    keys,
  );
  document.addEventListener("keydown", key);

  /** Return the pictures in rating order; blind rating shuffles them, always in the same way. */
  function ordered() {
    const found = askedAbout(pictures(), ({ image }) => image);
    if (isBlind) found.sort((one, other) => hash(id + one.sha256) - hash(id + other.sha256));
    return found;
  }

  function restart() {
    shown = null;
    place = 0;
    stop.hidden = true;
    passed.clear();
    note.hidden = isPairs;
    next();
  }

  function next() {
    if (isPairs) askPair();
    else if (isBlind) askPicture();
    else inOrder();
  }

  /** Show the following picture that is not rated, or else the present one. */
  function inOrder() {
    const all = ordered();
    const start = all.findIndex((one) => one.sha256 === shown?.sha256);
    const order = [...all.slice(start + 1), ...all.slice(0, start + 1)];
    const following = order.find((one) => !state.open.ratings.has(one.sha256)) ?? null;
    if (following) go(all.findIndex((one) => one.sha256 === following.sha256));
    else if (all.length) go(Math.min(place, all.length - 1));
    else draw();
  }

  function go(to) {
    const all = ordered();
    place = Math.min(all.length - 1, Math.max(0, to));
    shown = all[place] ?? null;
    draw();
  }

  /** Show the picture whose stars tell most; the service chooses it, and does not say its value. */
  async function askPicture() {
    if (isChoosing) return;
    isChoosing = true;
    let found = null;
    try {
      const reply = await get(`${of(id, "next")}?passed=${[...passed].slice(-PASSED).join(",")}`);
      found = reply.image;
      stop.hidden = !reply.enough;
      stop.textContent = `You can stop: ${reply.enough}.`;
    } catch (error) {
      complain(error.message);
    } finally {
      isChoosing = false;
    }
    if (isPairs || !isBlind) return; // somebody has changed that meanwhile
    const at = found ? ordered().findIndex((one) => one.sha256 === found.sha256) : -1;
    if (at < 0) inOrder();
    else go(at);
  }

  /** Leave the picture unrated, and show another one. */
  function pass() {
    if (!isBlind) return go(place + 1);
    if (shown) passed.add(shown.sha256);
    askPicture();
  }

  async function askPair() {
    if (isAsking) return;
    isAsking = true;
    try {
      const pair = await get(of(id, "pair"));
      shown = pair.left ? pair : null;
      count.textContent = `${pair.compared} answers`;
    } catch (error) {
      complain(error.message);
      shown = null;
    } finally {
      isAsking = false;
    }
    draw();
  }

  /** Say so where something else decides the experiment, and offer to change that. */
  function drawHint() {
    const objective = objectiveNow();
    const [wanted, what] = isPairs ? ["preference", "comparisons"] : ["stars", "ratings"];
    hint.hidden = objective === wanted;
    fill(hint, `Decided by ${objective}: ${what} are kept, but decide nothing here. `, h("button", { onclick: () => decideBy(id, { objective: wanted }) }, `Let ${what} decide`));
  }

  function draw() {
    drawHint();
    stage.classList.toggle("pair", isPairs);
    if (!shown) {
      delete stage.dataset.shown;
      fill(stage, h("p", { class: "word" }, isPairs ? "There are no two values with pictures yet." : "There is no picture yet."));
      fill(about);
      fill(buttons);
      return;
    }
    if (isPairs) drawPair();
    else drawOne();
  }

  function drawOne() {
    const rating = state.open.ratings.get(shown.sha256);
    drawStage([shown.image], () => fullView(shown.image, "the picture to rate"));
    const isTold = !isBlind || rating;
    fill(about, isTold ? `${shown.variant.variable_under_test} ${valueText(shown.variant.variant_value)}, ${conditionText(state.open.status.definition, shown.repeat)} ` : "its value is shown after your stars ", rating && stars(rating.stars), rating?.note ? ` “${rating.note}”` : "");
    fill(buttons, [1, 2, 3, 4, 5].map((number) => h("button", { onclick: () => rate(number) }, "★".repeat(number), h("kbd", {}, number))), h("button", { onclick: reject }, "Reject", h("kbd", {}, "x")), h("button", { onclick: undo }, "Undo", h("kbd", {}, "u")));
    keys.textContent = "1–5: stars · x: reject · u: undo · ← →: the picture before, another one";
    const all = ordered();
    count.textContent = `${all.filter((one) => state.open.ratings.has(one.sha256)).length} of ${all.length} rated`;
  }

  function drawPair() {
    drawStage([shown.left, shown.right], () => [["left", shown.left], ["right", shown.right]].map(([side, image]) => sideOf(side, image)));
    fill(about, "Which one is better? Their values are not shown.");
    fill(buttons, [["left", "Left", "←"], ["tie", "Tie", "t"], ["both_bad", "Both bad", "x"], ["right", "Right", "→"]].map(([outcome, text, name]) => h("button", { onclick: () => answer(outcome) }, text, h("kbd", {}, name))), h("button", { onclick: undo }, "Undo", h("kbd", {}, "u")));
    keys.textContent = "← →: that one is better · t: tie · x: both bad · u: undo";
  }

  /** Draw what is rated, unless it is there: a video would begin anew. */
  function drawStage(images, view) {
    const key = images.map((image) => image.sha256).join(" ");
    if (stage.dataset.shown === key) return;
    stage.dataset.shown = key;
    fill(stage, view());
    together(stage);
  }

  /** Return one of two; a picture is chosen by a click on it, while a click on a player plays. */
  function sideOf(side, image) {
    const view = fullView(image, side);
    const choice = { "aria-label": `${side} is better`, onclick: () => answer(side) };
    if (kindOf(image) === "picture") return h("button", { class: "side", ...choice }, view);
    return h("div", { class: "side" }, view, h("button", choice, "This one"));
  }

  async function rate(number, more = note.value) {
    const rated = shown;
    if (!rated || isAsking || isChoosing) return;
    isAsking = true;
    const typed = note.value;
    note.value = ""; // now: text typed while we wait belongs to the next picture
    try {
      const reply = await post(of(id, "rate"), { image: rated.sha256, stars: number, note: more });
      state.open.ratings.set(rated.sha256, { sha256: rated.sha256, stars: reply.stars, note: reply.note });
      say(`${"★".repeat(number)} for ${rated.variant.variable_under_test} ${valueText(rated.variant.variant_value)}`);
    } catch (error) {
      note.value ||= typed;
      complain(error.message);
      return;
    } finally {
      isAsking = false;
    }
    next();
  }

  function reject() {
    rate(1, note.value || "rejected");
  }

  async function undo() {
    try {
      const reply = await post(of(id, isPairs ? "undo-comparison" : "undo"), {});
      if (isPairs) return askPair();
      if (reply.stars === null) state.open.ratings.delete(reply.sha256);
      go(ordered().findIndex((one) => one.sha256 === reply.sha256));
    } catch (error) {
      complain(error.message);
    }
  }

  async function answer(outcome) {
    if (isAsking || !shown?.left) return;
    isAsking = true;
    try {
      await post(of(id, "compare"), { left: shown.left.sha256, right: shown.right.sha256, outcome });
    } catch (error) {
      complain(error.message);
    } finally {
      isAsking = false;
    }
    askPair();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), textarea, select, dialog *")) return;
    if (event.target.matches("video, audio") && /^Arrow/.test(event.key)) return; // it goes on or back
    const pairKeys = { ArrowLeft: "left", ArrowRight: "right", t: "tie", x: "both_bad" };
    if (event.key === "u") undo();
    else if (isPairs && pairKeys[event.key]) answer(pairKeys[event.key]);
    else if (!isPairs && /^[1-5]$/.test(event.key)) rate(Number(event.key));
    else if (!isPairs && event.key === "x") reject();
    else if (!isPairs && event.key === "ArrowLeft") go(place - 1);
    else if (!isPairs && event.key === "ArrowRight") pass();
    else return;
    event.preventDefault();
  }

  function update(changes) {
    if (changes.has("status") || changes.has("open")) drawHint();
    if (changes.has("all") || (!shown && !isAsking && !isChoosing && [...changes].some((one) => one === "open" || one.startsWith("cell ")))) next();
    else if (!isPairs && shown && (changes.has("ratings") || changes.has("open"))) drawOne();
  }

  return { element, update, close: () => document.removeEventListener("keydown", key) };
}

/** Return a pseudo-random number, the same for the same text. */
function hash(text) {
  let sum = 2166136261;
  for (const letter of text) sum = Math.imul(sum ^ letter.codePointAt(0), 16777619);
  return sum >>> 0;
}
