// The end: nothing is left to rate now. It says why, what comes by itself, and where to go from here.

import { html, nothing } from "../../base/html.js";
import { linkTo } from "../../base/routes.js";
import { state } from "../../data/state.js";
import { openJobs } from "../../experiment/facts.js";

/** Return it; `passed` pictures were skipped, and `again` asks about them. */
export function endOf({ id, all, rated, enough, passed, again }) {
  const { search } = state.open.status;
  const coming = comingJobs();
  const skipped = Math.min(passed, all - rated);
  const isSearching = search?.state === "searching";
  const answer = (kind) => html`<a class=${`button ${kind}`} href=${linkTo(["e", id, "answer"])}>See the answer</a>`;
  return html`<div class="end" role="status">
    <h2>${title(all, rated, skipped)}</h2>
    ${enough ? html`<p>You can stop: ${enough}.</p>` : nothing}
    ${coming ? html`<p>${making(coming, all ? " more" : "")}</p>` : nothing}
    ${isSearching && !coming ? html`<p>The search goes on by itself: new pictures come up here.</p>` : nothing}
    <div class="row">
      ${skipped ? html`<button class="primary" @click=${again}>Show ${skipped === 1 ? "it" : `the ${skipped}`} again</button>` : nothing}
      ${rated ? answer(skipped ? "" : "primary") : nothing}
    </div>
  </div>`;
}

/** Return that so many jobs have not ended yet. */
export function making(count, more = "") {
  return count === 1 ? `1${more} is being made: it comes up by itself.` : `${count}${more} are being made: they come up by themselves.`;
}

/** Return how many jobs of the open experiment have not ended. */
export function comingJobs() {
  return openJobs(state.open.status);
}

function title(all, rated, skipped) {
  if (!all) return comingJobs() ? "There is no picture yet" : "There is no picture to rate";
  if (skipped) return skipped === 1 ? "One is left, which you skipped" : `${skipped} are left, which you skipped`;
  return rated === 1 ? "It is rated" : `All ${rated} are rated`;
}
