// The queue of one runner: what runs, what waits in which order, and the buttons that change it.

import { html, nothing, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo } from "../../base/routes.js";
import { durationText } from "../../base/text.js";
import { moved } from "./order.js";

/**
 * Return the queue of a runner. `acts` are what its buttons do: `pause`, `resume` (pipeline, null for all), `order`
 * (groups, wanted) and `cancel` (of what runs or waits); `going` has the keys of what is being cancelled.
 */
export function queueOf(runner, acts, going) {
  const { queue } = runner;
  const all = Object.entries(queue.lanes);
  const busy = all.filter(([, lane]) => lane.running || lane.queued || lane.paused);
  const away = all.filter(([, lane]) => lane.waits_for && !busy.some(([, other]) => other === lane));
  return html`${lanes(queue, busy, acts)} ${awayPart(away)}
    ${queue.running.length ? html`<h3>Running</h3><ul class="jobs">${repeat(queue.running, (one) => one.job_id, (one) => running(one, acts, going))}</ul>` : nothing}
    ${queue.waiting.length ? html`<h3>Next</h3>${waiting(queue, acts, going)}` : nothing}
    ${queue.left ? html`<p class="facts">and ${queue.left} more jobs behind these</p>` : nothing}
    ${!queue.running.length && !queue.waiting.length ? html`<p class="facts">Nothing runs, and nothing waits.</p>` : nothing}`;
}

/** Return by what something in the queue is known: an experiment, or a job of none. */
export function keyOf(one) {
  return one.experiment_id ?? `job ${one.job_id}`;
}

/** Return what something in the queue is called. */
export function nameOf(one) {
  return one.experiment_name ?? one.experiment_id ?? one.job_id;
}

function lanes(queue, busy, acts) {
  const all = queue.paused
    ? html`<button @click=${() => acts.resume(null)}>${icon("play")}Resume all</button>`
    : html`<button @click=${() => acts.pause(null)}>${icon("pause")}Pause all</button>`;
  return html`<ul class="lanes">
    ${repeat(busy, ([name]) => name, ([name, lane]) => html`<li>
      <strong>${name}</strong>
      <span>${lane.running} of ${lane.concurrency} running, ${lane.queued} waiting</span>
      ${lane.paused ? html`<span class="chip partial">paused</span>` : nothing}
      ${queue.paused ? nothing : lane.paused
        ? html`<button aria-label=${`Resume ${name}`} @click=${() => acts.resume(name)}>${icon("play")}Resume</button>`
        : html`<button aria-label=${`Pause ${name}`} @click=${() => acts.pause(name)}>${icon("pause")}Pause</button>`}
      ${lane.waits_for && !lane.paused ? html`<p class="why">${lane.waits_for}</p>` : nothing}
    </li>`)}
    <li class="all">${all}</li>
  </ul>`;
}

/** Return what cannot run now, folded: nothing waits for it. */
function awayPart(away) {
  if (!away.length) return nothing;
  return html`<details><summary>${away.map(([name]) => name).join(", ")} ${away.length > 1 ? "are" : "is"} not available</summary>
    ${away.map(([, lane]) => html`<p class="facts">${lane.waits_for}</p>`)}</details>`;
}

function running(one, acts, going) {
  const left = one.eta_seconds >= 1 ? `, ${durationText(one.eta_seconds)} left` : ""; // one that takes longer than others says nothing
  return html`<li>
    <span class="what">${title(one)}<small>${one.pipeline}${left}</small></span>
    <progress max="1" value=${one.fraction} aria-label=${`${nameOf(one)}: ${Math.round(100 * one.fraction)} %`}></progress>
    ${cancelButton(one, acts, going)}
  </li>`;
}

/** Return what waits; of several pipelines each has an order of its own, as they run beside each other. */
function waiting(queue, acts, going) {
  const pipelines = [...new Set(queue.waiting.map((one) => one.pipeline))];
  return pipelines.map((pipeline) => {
    const groups = queue.waiting.filter((one) => one.pipeline === pipeline);
    return html`<ol class="jobs" aria-label=${`Waiting for ${pipeline}`}>${repeat(groups, (one) => `${one.priority} ${keyOf(one)}`, (one, at) => group(one, at, groups, acts, going))}</ol>`;
  });
}

function group(one, at, groups, acts, going) {
  const move = (to) => acts.order(groups, moved(groups, at, to));
  const button = (name, words, to) => html`<button class="plain" title=${words} aria-label=${`${words}: ${nameOf(one)}`} ?disabled=${to < 0 || to >= groups.length || to === at} @click=${() => move(to)}>${icon(name)}</button>`;
  const ends = one.eta_seconds === null ? "" : `, done in ${durationText(one.eta_seconds)}`;
  return html`<li>
    <span class="what">${title(one)}<small>${one.jobs} ${one.jobs === 1 ? "job" : "jobs"}, ${one.pipeline}${ends}</small></span>
    ${groups.length > 1 ? html`<span class="moves">${button("first", "Run next", 0)}${button("up", "Earlier", at - 1)}${button("down", "Later", at + 1)}</span>` : nothing}
    ${cancelButton(one, acts, going)}
  </li>`;
}

function title(one) {
  return one.experiment_id ? html`<a href=${linkTo(["e", one.experiment_id, "grid"])}>${nameOf(one)}</a>` : html`<code>${one.job_id}</code>`;
}

function cancelButton(one, acts, going) {
  if (going.has(keyOf(one))) return html`<span class="facts">cancelling …</span>`;
  const words = one.experiment_id ? `Cancel all jobs of ${nameOf(one)}` : `Cancel ${nameOf(one)}`;
  return html`<button class="plain" title=${words} aria-label=${words} @click=${() => acts.cancel(one)}>${icon("close")}</button>`;
}
