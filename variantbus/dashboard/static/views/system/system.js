// The system: the queue of each runner with its servers and disk, the processes, the cluster, and the events that were refused.

import { html, nothing, render, repeat } from "../../base/html.js";
import { complain, offer, say } from "../../base/toast.js";
import { get, of, post } from "../../data/api.js";
import { state } from "../../data/state.js";
import { clusterPart } from "./cluster.js";
import { machineOf, processCard, readings, versionsText } from "./machines.js";
import { newPriorities } from "./order.js";
import { keyOf, nameOf, queueOf } from "./queue.js";

export function systemView() {
  const element = document.createElement("section");
  element.className = "system";
  const rates = new Map(); // service -> { at, events, rate }
  const going = new Set(); // keys of what is being cancelled
  let seen = null; // { version, runners }, as last told
  let refused = []; // events, newest first
  let error = "";
  let asked = 0; // requests for the queues; an answer to an earlier one than the newest is dropped
  let isAsking = false;
  let isClosed = false;
  let cluster = { seen: undefined, error: "" }; // `seen` is null where there is none
  let isAskingCluster = false;

  /** Ask for the queues; a question is not repeated while it waits for its answer. */
  async function look() {
    if (!isAsking) await lookAnew();
  }

  /** Ask also where a question waits for its answer, which is of before a change. */
  async function lookAnew() {
    const mine = ++asked;
    isAsking = true;
    const found = await get("/api/system").then((told) => ({ seen: told, error: "" }), (failed) => ({ seen, error: failed.message }));
    if (mine !== asked) return;
    isAsking = false;
    ({ seen, error } = found);
    if (!isClosed) draw();
  }

  async function lookAtRefused() {
    refused = await get("/api/system/rejected").catch(() => refused);
    if (!isClosed) draw();
  }

  /** Ask how the cluster is, which takes seconds where one of its servers does not answer; whether there is one does not change. */
  async function lookAtCluster() {
    if (isAskingCluster || cluster.seen === null) return;
    isAskingCluster = true;
    cluster = await get("/api/system/cluster").then((told) => ({ seen: told, error: "" }), (failed) => ({ ...cluster, error: failed.message }));
    isAskingCluster = false;
    if (!isClosed) draw();
  }

  /** Change something, and show what has become of it. */
  async function change(what, body, done = "") {
    try {
      await post(`/api/system/${what}`, body);
      if (done) say(done);
    } catch (failed) {
      complain(failed.message);
    }
    await lookAnew();
  }

  function actsOf(runner) {
    const { address } = runner;
    return {
      pause: (pipeline) => change("pause", { runner: address, pipeline }, `${pipeline ?? "Everything"} is paused; what runs comes to its end`),
      resume: (pipeline) => change("resume", { runner: address, pipeline }, `${pipeline ?? "Everything"} goes on`),
      order: (groups, wanted) => change("prioritize", { runner: address, moves: newPriorities(groups, wanted).map(({ group, priority }) => ({ ...named(group), priority })) }),
      cancel: (one) => cancel(runner, one),
    };
  }

  /** Cancel an experiment, or a job of none, in five seconds. */
  function cancel(runner, one) {
    const key = keyOf(one);
    const after = () => {
      going.delete(key);
      if (!isClosed) draw();
    };
    const act = async () => {
      const request = one.experiment_id ? post(of(one.experiment_id, "cancel")) : post("/api/system/cancel-job", { runner: runner.address, job_id: one.job_id });
      await request.catch((failed) => complain(failed.message));
      await lookAnew();
      after();
    };
    going.add(key);
    offer(one.experiment_id ? `All jobs of ${nameOf(one)} are being cancelled` : `Job ${one.job_id} is being cancelled`, { act, undone: after });
    draw();
  }

  function draw() {
    const { runners = [], version } = seen ?? {};
    const differ = versionsText([["dashboard", version], ...state.system.filter((one) => one.service !== "runner").map((one) => [one.service, one.version]), ...runners.map((one) => ["runner", one.version])]);
    render(
      html`<h1>System</h1>
        ${differ ? html`<p class="warning">${differ}</p>` : nothing}
        ${error ? html`<p class="error">${error}</p>` : nothing}
        <h2>${runners.length > 1 ? "Runners" : "Queue"}</h2>
        ${seen ? repeat(runners, (one) => one.address, (one) => runnerPart(one, runners.length)) : html`<p class="facts">asking the runner …</p>`}
        <h2>Processes</h2>
        <div class="cards">${state.system.length ? repeat(state.system, (one) => one.service, (one) => processCard(one, rates.get(one.service)?.rate ?? null)) : html`<p>asking the processes …</p>`}
          ${version ? html`<article class="process"><h3>dashboard</h3><dl><dt>Address</dt><dd>${location.host}</dd><dt>Version</dt><dd>${version}</dd></dl></article>` : nothing}
        </div>
        ${cluster.seen ? clusterPart(cluster.seen, cluster.error) : nothing}
        <h2>Rejected events</h2>
        ${refusedTable(refused)}`,
      element,
    );
  }

  function runnerPart(runner, count) {
    return html`<section class="runner">
      ${count > 1 ? html`<h3>${runner.address}${runner.version ? html` <span class="facts">version ${runner.version}</span>` : nothing}</h3>` : nothing}
      ${runner.queue ? queueOf(runner, actsOf(runner), going) : html`<p class="error">${runner.problem}</p>${toldOf(runner.known)}`}
      ${machineOf(runner)}
    </section>`;
  }

  function countRates() {
    const now = performance.now();
    for (const one of state.system) {
      const events = readings(one.metrics).sum("variantbus_events_published_total");
      const last = rates.get(one.service);
      const rate = last && now > last.at ? Math.max(0, (1000 * (events - last.events)) / (now - last.at)) : null;
      rates.set(one.service, { at: now, events, rate });
    }
  }

  return {
    element,
    update(changes) {
      const isFirst = changes.has("all");
      if (isFirst || changes.has("system")) {
        countRates();
        draw();
        look();
        lookAtCluster();
      }
      if (isFirst || changes.has("rejected")) lookAtRefused();
    },
    close: () => (isClosed = true),
  };
}

/** Return what the learning service knows of a runner that does not answer us. */
function toldOf(known) {
  if (!known) return nothing;
  const words = known.answers ? "The learning service reaches it" : "It does not answer the learning service either";
  return html`<p class="facts">${words}; ${known.jobs} of its jobs have not ended. It offers ${known.pipelines.join(", ") || "nothing"}.</p>`;
}

function named(group) {
  return group.experiment_id ? { experiment_id: group.experiment_id } : { job_id: group.job_id };
}

function refusedTable(events) {
  if (!events.length) return html`<p class="facts">none</p>`;
  const head = ["When", "Reason", "Detail", "Job"].map((text) => html`<th scope="col">${text}</th>`);
  const rows = events.map((one) => html`<tr><td>${new Date(one.at).toLocaleString()}</td><td>${one.reason}</td><td>${one.detail}</td><td>${one.job_id ?? ""}</td></tr>`);
  return html`<div class="wide" role="region" aria-label="Rejected events" tabindex="0"><table class="refused"><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
