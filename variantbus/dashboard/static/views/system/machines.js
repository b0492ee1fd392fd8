// The processes, with what they do and on what; and the servers and disks of runners.

import { html, nothing } from "../../base/html.js";
import { durationText, numberText, sizeText } from "../../base/text.js";
import { meter } from "./meter.js";

const WORDS = { away: "does not answer", look: "needs a look", well: "well" };
const CHIPS = { away: "failed", look: "partial", well: "completed" };

/** Return the card of a process; `rate` is how many events a second it has published, null if that is not known yet. */
export function processCard(one, rate) {
  const { read, sum, has } = readings(one.metrics);
  const rows = [
    ["Address", one.address],
    ["Version", one.version],
    ["Up for", durationText(read("variantbus_uptime_seconds")[0])],
    ["Events a second", rate === null ? null : numberText(rate) || "0"],
    ["Events in all", has("variantbus_log_head_offset") && (numberText(sum("variantbus_log_head_offset")) || "0")],
    ["Log", has("variantbus_log_size_bytes") && sizeText(sum("variantbus_log_size_bytes"))],
    ["Behind by", has("variantbus_consumer_lag_events") && `${numberText(Math.max(0, ...read("variantbus_consumer_lag_events"))) || 0} events`],
    ["Reconnects", has("variantbus_consumer_reconnects_total") && (numberText(sum("variantbus_consumer_reconnects_total")) || "0")],
    ["Rejected events", has("variantbus_events_routed_total") && (numberText(sum("variantbus_events_routed_total", { outcome: "rejected" })) || "0")],
    ["Cluster", clusterText(read)],
    ["Memory", has("process_resident_memory_bytes") && sizeText(sum("process_resident_memory_bytes"))],
  ];
  const word = !one.answers ? "away" : one.problems.length ? "look" : "well";
  return html`<article class=${`process ${word}`}>
    <h3>${one.service} <span class=${`chip ${CHIPS[word]}`}>${WORDS[word]}</span></h3>
    ${one.problems.map((problem) => html`<p class="error">${problem.detail}</p>`)}
    <dl>${rows.filter(([, value]) => value).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
  </article>`;
}

/** Return the servers and the disk of a runner. */
export function machineOf(runner) {
  const { queue, disk } = runner;
  const servers = Object.entries(queue?.servers ?? {}).map(([name, server]) => serverOf(name, server, queue.lanes[name]));
  if (!servers.length && !disk) return nothing;
  return html`<div class="machine">
    ${servers}
    ${disk ? html`<div>${meter("Disk", disk.disk_total, disk.disk_free)}<p class="facts">${numberText(disk.files) || "0"} results take ${sizeText(disk.bytes)}</p></div>` : nothing}
  </div>`;
}

/** Return in a sentence which versions differ, "" if none does. */
export function versionsText(parts) {
  const known = parts.filter(([, version]) => version);
  if (new Set(known.map(([, version]) => version)).size < 2) return "";
  return `${known.map(([name, version]) => `${name} ${version}`).join(", ")}: the versions differ. Update all to the newest one, and start them again.`;
}

function serverOf(name, server, lane) {
  const isAway = Boolean(lane?.waits_for) && !lane.paused;
  return html`<div>
    <p><strong>${name}</strong> <span class="facts">${server.url}${server.version ? `, version ${server.version}` : ""}</span></p>
    ${(server.devices ?? []).map((card) => meter(card.name || "Graphics memory", card.total, card.free))}
    ${isAway ? html`<p class="facts">as last seen</p>` : nothing}
  </div>`;
}

/** Return what a process does in a cluster, null if it is in none. */
function clusterText(read) {
  const [connected] = read("variantbus_cluster_connected");
  const [leads] = read("variantbus_cluster_leads");
  if (leads !== undefined) return leads ? "leads" : "stands by";
  if (connected === undefined) return null;
  const [waiting = 0] = read("variantbus_cluster_ends_waiting");
  const words = connected ? "connected" : "no server answers";
  return waiting ? `${words}, ${numberText(waiting)} ends wait` : words;
}

/** Return how to read the metrics of a process. */
export function readings(metrics) {
  const read = (name, labels = {}) => (metrics[name] ?? []).filter(([found]) => Object.entries(labels).every(([key, value]) => found[key] === value)).map(([, value]) => value);
  return { read, sum: (name, labels) => read(name, labels).reduce((total, value) => total + value, 0), has: (name) => Boolean(metrics[name]?.length) };
}
