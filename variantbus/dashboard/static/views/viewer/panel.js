// Beside the picture: all settings of its job with what differs, what came of it, and how the job went.

import { html } from "../../base/html.js";
import { copy } from "../../base/clipboard.js";
import { icon } from "../../base/icons.js";
import { durationText, numberText } from "../../base/text.js";
import { complain, say } from "../../base/toast.js";
import { toToml } from "../../base/toml.js";
import { differences } from "../../data/settings.js";
import { partText, stringify } from "../../data/values.js";
import { filesView } from "../../results/files.js";

/**
 * Return the panel. `subject` is what is shown: `{ cell, settings, files, definition }`; `reference` `{ settings, label }`
 * of what it is compared with, or null; `known` what the runner says of its job.
 */
export function panelOf(subject, reference, known) {
  return html`${settingsOf(subject, reference, known?.job)} ${resultOf(subject.cell)} ${filesOf(subject)} ${jobPart(subject, known)}`;
}

/** Return the buttons that run a failed job, or all failed ones of its value, again: `retry(isAll)`. */
export function retryButtons({ failedOfValue: count }, retry) {
  return html`<div class="row">
    <button @click=${() => retry(false)}>${icon("retry")} Run this job again</button>
    ${count > 1 ? html`<button @click=${() => retry(true)}>All ${count} failed ones of this value</button>` : ""}
  </div>`;
}

function settingsOf({ settings, definition }, reference, job) {
  const shown = job?.config ?? settings;
  const differing = new Set(reference ? differences(settings, reference.settings) : []);
  const whole = { pipeline: definition.pipeline ?? "embedded", stage: definition.stage ?? "txt2img", config: shown };
  return html`<section>
    <div class="title">
      <h3>Settings</h3>
      <button class="plain" @click=${() => take(toToml(whole), "All settings")}>${icon("copy")} TOML</button>
      <button class="plain" @click=${() => take(indented(whole), "All settings")}>${icon("copy")} JSON</button>
    </div>
    ${reference ? html`<p class="facts">${differing.size ? html`<mark>Marked</mark>: differs from ${reference.label}` : `The same as ${reference.label}`}</p>` : ""}
    <dl class="settings">${Object.entries(shown).map(([name, value]) => setting(name, value, differing.has(name) ? reference : null))}</dl>
  </section>`;
}

function setting(name, value, reference) {
  const text = settingText(value);
  const other = reference && (name in reference.settings ? settingText(reference.settings[name]) : "not set");
  return html`<div class=${reference ? "differs" : ""}>
    <dt>${name}</dt>
    <dd>
      <span>${text}${reference ? html`<span class="other">there: ${other}</span>` : ""}</span>
      <button class="plain" aria-label=${`Copy ${name}`} title=${`Copy ${name}`} @click=${() => take(text, name)}>${icon("copy")}</button>
    </dd>
  </div>`;
}

function resultOf(cell) {
  const lines = Object.entries(cell?.metrics ?? {}).map(([name, number]) => [name, numberText(number)]);
  if (cell?.seconds) lines.push(["took", secondsText(cell.seconds)]);
  if (!lines.length) return "";
  return html`<section><h3>Result</h3>${list(lines)}</section>`;
}

function filesOf({ files, image }) {
  if (!image || !files.length) return "";
  return html`<section><details>
    <summary>${files.length} more ${files.length === 1 ? "file" : "files"}</summary>
    ${filesView(files)}
  </details></section>`;
}

function jobPart({ cell, definition }, known) {
  const job = known?.job;
  const warnings = cell?.warnings ?? [];
  const lines = [
    ["state", cell?.reused ? `${cell.state}, made by an earlier job` : cell?.state],
    ["ran with", `${definition.pipeline ?? "embedded"}, ${definition.stage ?? "txt2img"}`],
    ["runner", known?.runner],
    ["attempt", job && job.attempt > 1 ? job.attempt : null],
    ["waited", job?.started_at ? durationText(job.started_at - job.queued_at) : null],
    ["ended", job?.finished_at ? new Date(1000 * job.finished_at).toLocaleString() : null],
    ["runs lost", job?.faults ? `${job.faults}, the last one: ${job.fault?.message ?? ""}` : null],
    ["waits for", job?.waits_for || null],
    ["job", cell?.jobId],
  ].filter(([, text]) => text !== null && text !== undefined);
  const used = Object.entries(job?.result?.effective ?? {}).filter(([name, value]) => !(name in job.config) || stringify(value) !== stringify(job.config[name]));
  return html`<section>
    <h3>Job</h3>
    ${cell?.error ? html`<pre class="error">${cell.error}</pre>` : ""}
    ${warnings.map((one) => html`<p class="warn">${icon("warn")} ${one}</p>`)}
    ${list(lines)}
    ${known?.error ? html`<p class="facts">Nothing more is known: ${known.error}</p>` : ""}
    ${used.length ? html`<h3>What the server used</h3>${list(used.map(([name, value]) => [name, settingText(value)]))}` : ""}
  </section>`;
}

function list(lines) {
  return html`<dl>${lines.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>`;
}

async function take(text, what) {
  try {
    await copy(text);
    say(`${what}: copied`);
  } catch (error) {
    complain(error.message);
  }
}

function settingText(value) {
  return typeof value === "string" ? value : partText(value);
}

function secondsText(seconds) {
  return seconds < 60 ? `${numberText(seconds)} s` : durationText(seconds);
}

/** Return JSON for people, with all digits of large numbers. */
function indented(value) {
  const lines = Object.entries(value.config).map(([name, part]) => `    ${JSON.stringify(name)}: ${stringify(part)}`);
  return `{\n  "pipeline": ${JSON.stringify(value.pipeline)},\n  "stage": ${JSON.stringify(value.stage)},\n  "config": {\n${lines.join(",\n")}\n  }\n}\n`;
}
