// The line above the pictures: how far somebody is, and in which way pictures are shown.

import { html, live, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { state } from "../../data/state.js";
import { moreText } from "../../experiment/verdict.js";

/** Return the line; `zoom` is null where nothing can be enlarged. */
export function barOf(now) {
  const { progress } = now;
  const made = state.open.recommendation;
  const more = made?.objective === (now.isTwo ? "preference" : "stars") ? moreText(made) : "";
  return html`<div class="bar">
    <a class="button leave" href=${now.link} aria-label="Back to the pictures" title="Back to the pictures">${icon("left")}</a>
    ${progress.of ? html`<progress max=${progress.of} value=${progress.done} aria-label="Rated"></progress>` : nothing}
    <span class="facts" role="status">${progress.text}</span>
    ${more ? html`<span class="more">${more}</span>` : nothing}
    <span class="space"></span>
    ${now.isTwo ? nothing : choice("hidden", "blind", now.isBlind, now.setBlind)}
    ${choice("compare", "two at a time", now.isTwo, now.setTwo)}
    ${now.zoom ? button("search", now.isZoomed ? "Zoom further, or back (z)" : "Zoom (z)", now.zoom, now.isZoomed) : nothing}
    ${button("clock", "What you said so far (h)", () => now.showHistory(!now.isHistory), now.isHistory, "historybutton")}
    ${button(now.isFull ? "shrink" : "full", now.isFull ? "Leave full screen (Esc)" : "Full screen (f)", () => now.setFull(!now.isFull), now.isFull, "fullbutton")}
  </div>`;
}

/** Return a choice; on a phone its icon stands for the words, which a screen reader still reads. */
function choice(name, text, isOn, set) {
  return html`<label class="check" title=${text}>
    <input type="checkbox" .checked=${live(isOn)} @change=${(event) => set(event.target.checked)} />${icon(name)}<span>${text}</span>
  </label>`;
}

function button(name, label, act, isOn, more = "") {
  return html`<button class=${`plain ${more}`} aria-label=${label} title=${label} aria-pressed=${isOn} @click=${act}>${icon(name)}</button>`;
}
