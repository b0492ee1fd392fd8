// The processes: health, lag, rates, and rejected events with reasons.

import { h, fill } from "../../base/dom.js";
import { durationText, numberText } from "../../base/text.js";
import { state } from "../../data/state.js";

export function systemView() {
  const processes = h("div", { class: "cards" });
  const rejected = h("div", { class: "wide" });
  const element = h("section", {}, h("h1", {}, "System"), processes, h("h2", {}, "Rejected events"), rejected);
  const before = new Map(); // service -> { at, events }

  function drawProcesses() {
    if (!state.system.length) return fill(processes, h("p", {}, "asking the processes …"));
    fill(processes, state.system.map(card));
  }

  function card(one) {
    const read = (name, labels = {}) => (one.metrics[name] ?? []).filter(([found]) => Object.entries(labels).every(([key, value]) => found[key] === value)).map(([, value]) => value);
    const sum = (name, labels) => read(name, labels).reduce((total, value) => total + value, 0);
    const events = sum("variantbus_events_published_total");
    const last = before.get(one.service);
    const now = performance.now();
    const rate = last && now > last.at ? Math.max(0, (1000 * (events - last.events)) / (now - last.at)) : null;
    before.set(one.service, { at: now, events });
    const rows = [
      ["address", one.address],
      ["version", one.version],
      ["runs for", durationText(read("variantbus_uptime_seconds")[0])],
      ["events a second", rate === null ? "" : numberText(rate) || "0"],
      ["events in all", numberText(sum("variantbus_log_head_offset")) || "0"],
      ["behind by", one.metrics.variantbus_consumer_lag_events ? `${numberText(Math.max(0, ...read("variantbus_consumer_lag_events"))) || 0} events` : null],
      ["reconnects", one.metrics.variantbus_consumer_reconnects_total ? numberText(sum("variantbus_consumer_reconnects_total")) || "0" : null],
      ["jobs", one.metrics.variantbus_jobs ? `${sum("variantbus_jobs", { state: "running" })} running, ${sum("variantbus_jobs", { state: "queued" })} queued` : null],
      ["rejected", one.metrics.variantbus_events_routed_total ? numberText(sum("variantbus_events_routed_total", { outcome: "rejected" })) || "0" : null],
      ["memory", read("process_resident_memory_bytes").length ? `${Math.round(sum("process_resident_memory_bytes") / 2 ** 20)} MiB` : null],
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    const word = !one.answers ? "away" : one.problems.length ? "look" : "well";
    return h(
      "article",
      { class: `process ${word}` },
      h("h2", {}, one.service, " ", h("span", { class: `chip ${{ away: "failed", look: "partial", well: "completed" }[word]}` }, { away: "does not answer", look: "needs a look", well: "well" }[word])),
      one.problems.map((problem) => h("p", { class: "error" }, problem.detail)),
      h("dl", {}, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
    );
  }

  function drawRejected() {
    if (!state.rejected.length) return fill(rejected, h("p", { class: "facts" }, "none since this page was opened"));
    fill(
      rejected,
      h("table", {}, h("thead", {}, h("tr", {}, ["when", "reason", "detail", "job"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, state.rejected.map((one) => h("tr", {}, h("td", {}, new Date(one.at).toLocaleTimeString()), h("td", {}, one.reason), h("td", {}, one.detail), h("td", {}, one.job_id ?? ""))))),
    );
  }

  function update(changes) {
    if (changes.has("all") || changes.has("system")) drawProcesses();
    if (changes.has("all") || changes.has("rejected")) drawRejected();
  }

  return { element, update };
}
