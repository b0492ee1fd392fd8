// The card that stays in sight: what is planned, what it costs, and the button that runs it.

import { html } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { durationText } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { domId, labelled, lineInput } from "./fields.js";

const SHOWN = 40; // values

/** Return the card; `name` is what the experiment is called if nobody gives it a name. */
export function card(form, name) {
  const { draft } = form;
  const field = lineInput(form, "name", draft.name, (text) => form.change({ name: text }), { placeholder: name });
  return html`<aside class="plancard" aria-label="The plan">
    ${labelled(form, "name", "Name", field)}
    <div class="preview" role="status">${plan(form)}</div>
    <button class="primary" type="submit" ?disabled=${form.isSending}>${icon("play")} Run</button>
    ${form.refused ? html`<p class="error" id=${domId("refused")} tabindex="-1">${form.refused}</p>` : ""}
  </aside>`;
}

function plan(form) {
  const { plan: found, problems } = form;
  const open = problems.find((one) => one.isOpen);
  if (open) return html`<p class="big">Not a plan yet</p><p class="reason">${open.text}</p>`;
  if (problems.length) {
    const show = (event) => {
      event.preventDefault(); // an address behind # is one of a view
      form.focus(problems[0].field);
    };
    return html`<p class="big">Not a plan yet</p>
      <p class="reason"><a href=${`#${domId(problems[0].field)}`} @click=${show}>See what is wrong</a></p>`;
  }
  if (form.refused) return html`<p class="big">Not a plan yet</p>`;
  if (!found) return html`<p class="big">…</p>`;
  return html`<p class="big">${jobsText(found)}</p>
    <p class="cost">${costText(found)}</p>
    <p class="sum">${sumText(found, form)}</p>
    ${found.exclusive ? html`<p>Each job runs alone on its runner, so that nothing else changes its time.</p>` : ""}
    ${values(found.values)}`;
}

function jobsText({ jobs, most_jobs: most }) {
  return most > jobs ? `${counted(jobs, "job")}, then up to ${most} in all` : counted(jobs, "job");
}

function costText({ seconds }) {
  return seconds === null ? "How long it takes is known after the first job." : `About ${durationText(seconds)}, one job after the other.`;
}

function sumText({ values: all }, { planned }) {
  const blocks = planned.blocks?.length ?? 0;
  const noun = blocks && planned.blocks.every((one) => "prompt" in (one.config ?? {})) ? "prompt" : "block";
  const parts = [counted(all.length, "value"), blocks > 1 ? counted(blocks, noun) : "", counted(planned.jobs_per_variant, "seed")];
  return parts.filter(Boolean).join(" × ");
}

function values(all) {
  const more = all.length - SHOWN;
  return html`<details class="planned" open>
    <summary>The values</summary>
    <ol class="values" tabindex="0" aria-label="The values">${all.slice(0, SHOWN).map((value) => html`<li>${valueText(value)}</li>`)}</ol>
    ${more > 0 ? html`<p class="facts">… and ${more} more</p>` : ""}
  </details>`;
}

function counted(number, noun) {
  return `${number} ${noun}${Number(number) === 1 ? "" : "s"}`;
}
