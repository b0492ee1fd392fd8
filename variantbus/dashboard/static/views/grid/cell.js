// What stands in a cell: the picture of a job with its stars, how far the job is, or in what state it is.

import { html, render } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { numberText } from "../../base/text.js";
import { askedAbout, fileName, lengthText, tileOf } from "../../results/media.js";
import { stateText } from "../../data/known.js";
import { conditionText, valueText } from "../../data/values.js";
import { previewOf } from "./preview.js";

const FILES = 3; // names in a cell
const SMALL = 90; // pixels, below which there is room for a symbol alone
const SYMBOLS = { planned: "clock", queued: "clock", running: "play", failed: "warn", cancelled: "close", completed: "check", untried: "more", unrun: "hidden" };
const unloaded = new WeakMap(); // cell -> the preview that stays until its picture is loaded

/**
 * Draw a cell. `known` is what is known of its job, `look` has the `definition`, the `size` of cells, `stars` (a picture's
 * stars by its hash), and the `score` as `{ share, text }` if cells are coloured; `again` draws it with what is known then.
 */
export function drawCell(element, place, known, look, again) {
  const isSmall = look.size < SMALL;
  const asked = askedAbout(known.images ?? []);
  const stars = asked.length ? look.stars(asked[0].sha256) : undefined;
  element.className = `cell ${known.state}${known.warnings?.length ? " warned" : ""}${isSmall ? " small" : ""}${look.score ? " scored" : ""}`;
  if (look.score) element.style.setProperty("--score", `${Math.round(100 * look.score.share)}%`);
  else element.style.removeProperty("--score");
  element.setAttribute("aria-label", labelOf(place, known, look, stars));
  element.title = [known.error, known.isExtra && "not in the plan", ...measured(known)].filter(Boolean).join("\n");
  if (asked.length) render(picture(element, asked, known, { ...look, isSmall, number: stars }), element);
  else if (known.state === "running") render(running(element, known, again), element);
  else render(word(known, isSmall), element);
}

/** Draw a place at which nothing is planned. */
export function drawHole(element) {
  element.className = "cell hole";
  element.setAttribute("aria-label", "nothing is planned here");
  element.title = "";
  render("", element);
}

function labelOf(place, known, look, stars) {
  const told = [known.error ?? stateText(known.state), stars && `${stars} of 5 stars`, known.warnings?.length && "with warnings", known.isExtra && "not in the plan", look.score?.text];
  return `${valueText(place.variant.variant_value)}, ${conditionText(look.definition, place.repeat)}: ${told.filter(Boolean).join(", ")}`;
}

function picture(element, asked, known, look) {
  const [image] = asked;
  const before = unloaded.get(element);
  const ended = () => {
    unloaded.get(element)?.remove();
    unloaded.delete(element);
  };
  const length = [asked.length > 1 && `${asked.length} results`, lengthText(image)].filter(Boolean).join(" · ");
  return html`${before ?? ""}${tileOf(image, { lines: measured(known), ended })}
    ${look.number ? starsMark(look.number, look.isSmall) : ""}
    ${length && !look.isSmall ? html`<span class="mark length">${length}</span>` : ""}
    ${mark(known, look)}`;
}

/** Return the one mark in the upper corner: what most needs to be known of a picture. */
function mark(known, { isSmall, score }) {
  const shown = (text, symbol, title) => html`<span class="mark" title=${title}>${isSmall ? symbol : text}</span>`;
  return html`${known.warnings?.length ? html`<span class="mark warn" title=${known.warnings.join("\n")}>!</span>` : ""}
    ${known.isExtra ? shown("extra", "+", "not in the plan") : known.reused ? shown("reused", "↺", "an earlier job made it") : ""}
    ${score && !isSmall ? html`<span class="mark score">${score.text}</span>` : ""}`;
}

function starsMark(count, isSmall) {
  return html`<span class="stars" role="img" aria-label="${count} of 5 stars">${isSmall ? `★${count}` : "★".repeat(count) + "☆".repeat(5 - count)}</span>`;
}

function running(element, known, again) {
  const preview = previewOf(element, known, again);
  if (preview) unloaded.set(element, preview);
  return html`${preview ?? ""}<progress max="1" value=${known.progress || ""} aria-label="How far the job is"></progress>`;
}

function word(known, isSmall) {
  const text = known.error ?? (known.state === "completed" ? results(known) : stateText(known.state));
  return isSmall ? html`<span class="word">${icon(SYMBOLS[known.state])}</span>` : html`<span class="word"><span>${text}</span></span>`;
}

/** Return what a job without a picture has given: the names of its files, and its metrics. */
function results(known) {
  const names = [...new Set(known.images.map(fileName))];
  const lines = [...names.slice(0, FILES), names.length > FILES && `and ${names.length - FILES} more`, ...measured(known)];
  return lines.filter(Boolean).join("\n") || "no result";
}

/** Return the metrics of a job, a line each. */
function measured(known) {
  return Object.entries(known.metrics ?? {}).map(([name, number]) => `${name} ${numberText(number)}`);
}
