// The cluster as `variantbus cluster check` tells of it: its servers, its streams with their copies, and its jobs.

import { html, nothing, repeat } from "../../base/html.js";
import { numberText, sizeText } from "../../base/text.js";

const WORDS = { away: "does not answer", look: "needs a look", well: "well" };
const CHIPS = { away: "failed", look: "partial", well: "completed" };

/** Return the section of a cluster; `error` says why nothing newer is known. */
export function clusterPart({ cluster, problems }, error) {
  const answers = cluster.servers.some((one) => !one.problem);
  const word = !answers ? "away" : problems.length ? "look" : "well";
  return html`<h2>Cluster ${chip(CHIPS[word], WORDS[word])}</h2>
  <section class=${`cluster ${word}`} aria-label="Cluster">
    ${error ? html`<p class="error">${error}</p>` : nothing}
    ${problems.map((one) => html`<p class=${one.code === "not_answering" ? "error" : "why"}>${one.detail}</p>`)}
    ${answers ? html`<dl><dt>Leads</dt><dd>${cluster.leads ?? "no learning service"}</dd><dt>Runners</dt><dd>${cluster.runners.join(", ") || "none"}</dd></dl>` : nothing}
    ${table("Servers", ["Server", "Address", "Version", "State"], cluster.servers, (one) => one.address, (one) => [one.name || "not known", one.address, one.version || "not known", chip(one.problem ? "failed" : "completed", one.problem || "answers")])}
    ${table("Streams", ["Stream", "Messages", "Size", "Copies", "Leader", "Others"], cluster.streams, (one) => one.name, (one) => [one.name, count(one.messages), sizeText(one.bytes), count(one.copies), one.leader ?? chip("failed", "none"), one.replicas.map(copy)])}
    ${table("Jobs", ["Jobs of", "Waiting", "Running", "Redelivered"], cluster.consumers.filter(isBusy), (one) => one.name, (one) => [one.name, count(one.pending), count(one.running), count(one.redelivered)])}
    ${cluster.consumers.length && !cluster.consumers.some(isBusy) ? html`<p class="facts">No job waits, and none runs.</p>` : nothing}
  </section>`;
}

/** Return whether a pipeline has jobs in a band; there are three bands of each, and most are empty. */
function isBusy(one) {
  return one.pending || one.running || one.redelivered;
}

/** Return the copy of a server that follows. */
function copy(one) {
  const [kind, words] = one.offline ? ["failed", "away"] : one.current ? ["", "current"] : ["partial", `${count(one.lag)} behind`];
  return html`<span class="copy">${one.server} ${kind ? chip(kind, words) : html`<span class="facts">${words}</span>`}</span>`;
}

function chip(kind, words) {
  return html`<span class=${`chip ${kind}`}>${words}</span>`;
}

function count(number) {
  return numberText(number) || "0";
}

/** Return a table whose cells name their column on a narrow page, which shows no head; nothing without rows. */
function table(name, head, rows, keyOf, cellsOf) {
  if (!rows.length) return nothing;
  const rowOf = (one) => html`<tr>${cellsOf(one).map((cell, at) => (at ? html`<td data-label=${head[at]}>${cell}</td>` : html`<th scope="row">${cell}</th>`))}</tr>`;
  return html`<table aria-label=${name}><thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead><tbody>${repeat(rows, keyOf, rowOf)}</tbody></table>`;
}
