// The system: the queue of each runner with its servers and disk, the processes, the cluster, and the events that were refused.

import { html, nothing, render, repeat } from "../../base/html.js";
import { complain, offer, say } from "../../base/toast.js";
import { get, of, post } from "../../data/api.js";
import { state } from "../../data/state.js";
import { clusterPart } from "./cluster.js";
import { machineOf, processCard, readings, versionsText } from "./machines.js";
import { newPriorities } from "./order.js";
import { keyOf, nameOf, queueOf } from "./queue.js";

export class SystemView {
  constructor() {
    this.element = document.createElement("section");
    this.element.className = "system";
    this.rates = new Map(); // service -> { at, events, rate }
    this.going = new Set(); // keys of what is being cancelled
    this.seen = null; // { version, runners }, as last told
    this.refused = []; // events, newest first
    this.error = "";
    this.asked = 0; // requests for the queues; an answer to an earlier one than the newest is dropped
    this.isAsking = false;
    this.isClosed = false;
    this.cluster = { seen: undefined, error: "" }; // `seen` is null where there is none
    this.isAskingCluster = false;
  }

  /** Ask for the queues; a question is not repeated while it waits for its answer. */
  async look() {
    if (!this.isAsking) await this.lookAnew();
  }

  /** Ask also where a question waits for its answer, which is of before a change. */
  async lookAnew() {
    const mine = ++this.asked;
    this.isAsking = true;
    const found = await get("/api/system").then((told) => ({ seen: told, error: "" }), (failed) => ({ seen: this.seen, error: failed.message }));
    if (mine !== this.asked) return;
    this.isAsking = false;
    ({ seen: this.seen, error: this.error } = found);
    if (!this.isClosed) this.draw();
  }

  async lookAtRefused() {
    this.refused = await get("/api/system/rejected").catch(() => this.refused);
    if (!this.isClosed) this.draw();
  }

  /** Ask how the cluster is, which takes seconds where one of its servers does not answer; whether there is one does not change. */
  async lookAtCluster() {
    if (this.isAskingCluster || this.cluster.seen === null) return;
    this.isAskingCluster = true;
    this.cluster = await get("/api/system/cluster").then((told) => ({ seen: told, error: "" }), (failed) => ({ ...this.cluster, error: failed.message }));
    this.isAskingCluster = false;
    if (!this.isClosed) this.draw();
  }

  /** Change something, and show what has become of it. */
  async change(what, body, done = "") {
    try {
      await post(`/api/system/${what}`, body);
      if (done) say(done);
    } catch (failed) {
      complain(failed.message);
    }
    await this.lookAnew();
  }

  actsOf(runner) {
    const { address } = runner;
    return {
      pause: (pipeline) => this.change("pause", { runner: address, pipeline }, `${pipeline ?? "Everything"} is paused; what runs comes to its end`),
      resume: (pipeline) => this.change("resume", { runner: address, pipeline }, `${pipeline ?? "Everything"} goes on`),
      order: (groups, wanted) => this.change("prioritize", { runner: address, moves: newPriorities(groups, wanted).map(({ group, priority }) => ({ ...named(group), priority })) }),
      cancel: (one) => this.cancel(runner, one),
    };
  }

  /** Cancel an experiment, or a job of none, in five seconds. */
  cancel(runner, one) {
    const key = keyOf(one);
    const after = () => {
      this.going.delete(key);
      if (!this.isClosed) this.draw();
    };
    const act = async () => {
      const request = one.experiment_id ? post(of(one.experiment_id, "cancel")) : post("/api/system/cancel-job", { runner: runner.address, job_id: one.job_id });
      await request.catch((failed) => complain(failed.message));
      await this.lookAnew();
      after();
    };
    this.going.add(key);
    offer(one.experiment_id ? `All jobs of ${nameOf(one)} are being cancelled` : `Job ${one.job_id} is being cancelled`, { act, undone: after });
    this.draw();
  }

  draw() {
    const { runners = [], version } = this.seen ?? {};
    const differ = versionsText([["dashboard", version], ...state.system.filter((one) => one.service !== "runner").map((one) => [one.service, one.version]), ...runners.map((one) => ["runner", one.version])]);
    render(
      html`<h1>System</h1>
        ${differ ? html`<p class="warning">${differ}</p>` : nothing}
        ${this.error ? html`<p class="error">${this.error}</p>` : nothing}
        <h2>${runners.length > 1 ? "Runners" : "Queue"}</h2>
        ${this.seen ? repeat(runners, (one) => one.address, (one) => this.runnerPart(one, runners.length)) : html`<p class="facts">asking the runner …</p>`}
        <h2>Processes</h2>
        <div class="cards">${state.system.length ? repeat(state.system, (one) => one.service, (one) => processCard(one, this.rates.get(one.service)?.rate ?? null)) : html`<p>asking the processes …</p>`}
          ${version ? html`<article class="process"><h3>dashboard</h3><dl><dt>Address</dt><dd>${location.host}</dd><dt>Version</dt><dd>${version}</dd></dl></article>` : nothing}
        </div>
        ${this.cluster.seen ? clusterPart(this.cluster.seen, this.cluster.error) : nothing}
        <h2>Rejected events</h2>
        ${refusedTable(this.refused)}`,
      this.element,
    );
  }

  runnerPart(runner, count) {
    return html`<section class="runner">
      ${count > 1 ? html`<h3>${runner.address}${runner.version ? html` <span class="facts">version ${runner.version}</span>` : nothing}</h3>` : nothing}
      ${runner.queue ? queueOf(runner, this.actsOf(runner), this.going) : html`<p class="error">${runner.problem}</p>${toldOf(runner.known)}`}
      ${machineOf(runner)}
    </section>`;
  }

  countRates() {
    const now = performance.now();
    for (const one of state.system) {
      const events = readings(one.metrics).sum("variantbus_events_published_total");
      const last = this.rates.get(one.service);
      const rate = last && now > last.at ? Math.max(0, (1000 * (events - last.events)) / (now - last.at)) : null;
      this.rates.set(one.service, { at: now, events, rate });
    }
  }

  update(changes) {
    const isFirst = changes.has("all");
    if (isFirst || changes.has("system")) {
      this.countRates();
      this.draw();
      this.look();
      this.lookAtCluster();
    }
    if (isFirst || changes.has("rejected")) this.lookAtRefused();
  }

  close() {
    this.isClosed = true;
  }
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
