// What stands in the place of a picture that cannot be loaded: it is not rated by accident.

import { html, nothing } from "../../base/html.js";

/** Return a card if one of what is shown could not be loaded, or a word while one is not there yet. */
export function notSeen(shown, { again, pass }) {
  const failed = shown.filter((one) => one.state === "failed");
  if (failed.length)
    return html`<div class="card" role="alert">
      <p>${failed.length > 1 ? "These pictures" : "This picture"} cannot be loaded, so nothing can be said about ${failed.length > 1 ? "them" : "it"}.</p>
      <div class="row">
        <button class="primary" @click=${again}>Try again</button>
        <button @click=${pass}>Skip</button>
      </div>
    </div>`;
  return shown.some((one) => one.state === "loading") ? html`<p class="word loading" role="status">loading …</p>` : nothing;
}
