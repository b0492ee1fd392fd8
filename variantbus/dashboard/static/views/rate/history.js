// What somebody has said so far, the newest first; each can be taken back.

import { html, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { picture } from "../../data/api.js";
import { pictures, state } from "../../data/state.js";
import { conditionText, valueText } from "../../data/values.js";
import { comparisons, ratings, undoComparison, undoRating } from "../../feedback/judging.js";
import { kindOf } from "../../results/media.js";

const PAGE = 50;
const OUTCOMES = { left: "left is better", right: "right is better", tie: "tie", both_bad: "both bad" };

/** Return `{ view(isTwo) }`, a drawer; `show(sha256)` is called for a picture that somebody wants to see again. */
export function historyOf({ id, close, show, draw }) {
  let isTold = false; // the values are shown
  let count = PAGE;

  function view(isTwo) {
    const said = (isTwo ? comparisons() : ratings()).toReversed();
    const row = isTwo ? comparison : rating;
    return html`<aside class="history" aria-label="What you said so far">
      <div class="bar">
        <h2>${isTwo ? "Comparisons" : "Ratings"}</h2>
        <span class="space"></span>
        <label class="check"><input type="checkbox" .checked=${isTold} @change=${(event) => ((isTold = event.target.checked), draw())} /> values</label>
        <button class="plain" aria-label="Close" title="Close (Esc)" @click=${close}>${icon("close")}</button>
      </div>
      ${said.length ? html`<ol>${said.slice(0, count).map(row)}</ol>` : html`<p class="facts">Nothing yet.</p>`}
      ${said.length > count ? html`<button @click=${() => ((count += PAGE), draw())}>Show ${Math.min(PAGE, said.length - count)} more</button>` : nothing}
    </aside>`;
  }

  function rating({ sha256, stars, note, rated_at: at }) {
    return html`<li>
      <button class="thumbs" aria-label="Show it again" title="Show it again" @click=${() => show(sha256)}>${thumbnail(sha256)}</button>
      <div class="what">
        <span class="stars" role="img" aria-label=${`${stars} of 5 stars`}>${"★".repeat(stars)}${"☆".repeat(5 - stars)}</span>
        ${time(at)}${note ? html`<q>${note}</q>` : nothing}${told(sha256)}
      </div>
      ${undo("Take this rating back", () => undoRating(id, sha256))}
    </li>`;
  }

  function comparison(one) {
    const { left, right, outcome, compared_at: at } = one;
    return html`<li>
      <div class="thumbs">${thumbnail(left, outcome === "left")}${thumbnail(right, outcome === "right")}</div>
      <div class="what"><span>${OUTCOMES[outcome] ?? outcome}</span>${time(at)}${told(left)}${told(right)}</div>
      ${undo("Take this answer back", () => undoComparison(id, one))}
    </li>`;
  }

  /** Return the value of a picture, where it is wanted. */
  function told(sha256) {
    const one = isTold && pictures().find((other) => other.sha256 === sha256);
    if (!one) return nothing;
    return html`<small>${one.variant.variable_under_test} ${valueText(one.variant.variant_value)}, ${conditionText(state.open.status?.definition, one.repeat)}</small>`;
  }

  return { view };
}

function thumbnail(sha256, isBetter = false) {
  const image = pictures().find((one) => one.sha256 === sha256)?.image;
  const kind = image ? kindOf(image) : "gone";
  if (["picture", "video"].includes(kind)) return html`<img class=${isBetter ? "better" : ""} src=${picture(sha256)} alt="" loading="lazy" />`;
  return html`<span class=${`word ${isBetter ? "better" : ""}`}>${kind}</span>`;
}

function time(seconds) {
  if (!seconds) return nothing;
  const at = new Date(1000 * seconds);
  const isToday = at.toDateString() === new Date().toDateString();
  const text = isToday ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : at.toLocaleDateString();
  return html`<time datetime=${at.toISOString()} title=${at.toLocaleString()}>${text}</time>`;
}

function undo(label, act) {
  return html`<button class="plain" aria-label=${label} title=${label} @click=${act}>${icon("undo")}</button>`;
}
