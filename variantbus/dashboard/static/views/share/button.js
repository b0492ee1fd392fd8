// The button by which an experiment is shown to others, and its dialog: links are made, listed and revoked there.

import { copy } from "../../base/clipboard.js";
import { openDialog } from "../../base/dialog.js";
import { html, nothing, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { complain, say } from "../../base/toast.js";
import { get, of, post } from "../../data/api.js";

const DAY = 86400;
const TERMS = [[DAY, "a day"], [7 * DAY, "a week"], [30 * DAY, "a month"], [null, "as long as I like"]];
const LOCAL = /^(localhost|127\.|\[?::1)/;

/** Return the button; its dialog shows the links of an experiment. */
export function shareButton(id) {
  return html`<button class="share" title="Share" @click=${() => openShare(id)}>${icon("share")}<span>Share</span></button>`;
}

function openShare(id) {
  let links = null; // as the server knows them
  let made = null; // the address of the one that was just made, which nobody can be told again
  let seconds = 7 * DAY;
  let error = "";
  const dialog = openDialog((close) => template(close), { label: "Share this experiment", kind: "small sharing" });
  load();

  async function load() {
    try {
      links = await get(of(id, "shares"));
      error = "";
    } catch (failed) {
      error = failed.message;
    }
    dialog.draw();
  }

  async function make(event) {
    event.preventDefault();
    try {
      const { token } = await post(of(id, "share"), { seconds });
      made = `${location.origin}/share/${token}`;
      await load();
      dialog.element.querySelector(".made input").select();
    } catch (failed) {
      error = failed.message;
      dialog.draw();
    }
  }

  async function revoke(digest) {
    try {
      await post(of(id, "unshare"), { digest });
      made = null; // it may have been this one
      say("the link is no longer valid");
    } catch (failed) {
      complain(failed.message);
    }
    await load();
  }

  function template(close) {
    return html`<h2>Share this experiment</h2>
    <p>Anyone with the link sees this experiment and no other, live: its pictures, values, prompts, settings, stars and answer. They can
      change nothing. Paths, addresses, commands, texts of errors and notes are not shown.</p>
    ${LOCAL.test(location.hostname) ? local() : nothing}
    <form class="row" @submit=${make}>
      <label>Valid for <select @change=${(event) => (seconds = TERMS[event.target.selectedIndex][0])}>
        ${TERMS.map(([value, text]) => html`<option ?selected=${value === seconds}>${text}</option>`)}
      </select></label>
      <button class="primary">Make a link</button>
    </form>
    ${made ? madePart(made) : nothing}
    ${error ? html`<p class="error" role="alert">${error}</p>` : nothing}
    ${links?.length ? html`<h3>Valid links</h3><ul>${repeat(links, (one) => one.digest, (one) => line(one, () => revoke(one.digest)))}</ul>` : nothing}
    <div class="row"><button @click=${close}>Done</button></div>`;
  }
}

/** Say what has to be done before others can reach this page. */
function local() {
  return html`<p class="warning">${icon("warn")} This page is open as <code>${location.host}</code>, an address of this machine alone: the
    link works here only. For others start the dashboard with <code>--host</code> and <code>--password-file</code>, open it by the name
    of this machine, and make the link there.</p>`;
}

function madePart(address) {
  const take = () => copy(address).then(() => say("copied"), (error) => complain(error.message));
  return html`<div class="made">
    <label>The link, shown only this once <input readonly value=${address} /></label>
    <button @click=${take}>${icon("copy")}Copy</button>
  </div>`;
}

function line(one, revoke) {
  const day = (seconds) => new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const words = `made ${day(one.created_at)}, ${one.expires_at === null ? "until revoked" : `until ${day(one.expires_at)}`}`;
  return html`<li><span>${words}</span><button aria-label=${`Revoke the link ${words}`} @click=${revoke}>Revoke</button></li>`;
}
