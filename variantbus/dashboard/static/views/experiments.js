// All experiments, newest first, with a search.

import { h, fill, durationText } from "../dom.js";
import { state } from "../state.js";

export function experimentsView() {
  const search = h("input", { type: "search", placeholder: "Search by name, variable or state", "aria-label": "Search experiments", oninput: draw });
  const list = h("ul", { class: "list" });
  const element = h("section", {}, h("div", { class: "bar" }, h("h1", {}, "Experiments"), search, h("a", { class: "button primary", href: "#/new" }, "New experiment")), list);

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...state.experiments.values()]
      .filter((one) => words.every((word) => text(one).includes(word)))
      .sort((one, other) => other.created_at - one.created_at);
    if (found.length) fill(list, found.map(row));
    else fill(list, h("li", { class: "empty" }, empty(words)));
  }

  return { element, update: (changes) => (changes.has("all") || changes.has("experiments")) && draw() };
}

function empty(words) {
  if (!state.isLoaded) return "asking the learning service …";
  return words.length ? "none of that name" : ["There is no experiment yet. ", h("a", { href: "#/new" }, "Plan the first one"), "."];
}

function text(one) {
  return [one.experiment_name, one.experiment_id, variable(one), one.status, one.definition.pipeline].join(" ").toLowerCase();
}

function row(one) {
  const t = one.totals;
  const ended = t.completed + t.failed + t.cancelled;
  const isOver = ["completed", "partial", "failed", "cancelled"].includes(one.status);
  const when = new Date(one.created_at * 1000);
  return h(
    "li",
    {},
    h(
      "a",
      { href: `#/e/${encodeURIComponent(one.experiment_id)}/grid`, class: "card" },
      h("span", { class: "name" }, one.experiment_name),
      h("span", { class: "what" }, variable(one), " · ", `${t.variants} values`),
      h("span", { class: `chip ${one.status}` }, one.status),
      h("progress", { max: Math.max(1, t.jobs), value: ended, "aria-label": `${ended} of ${t.jobs} jobs have ended` }),
      h("span", { class: "count" }, `${t.completed}/${t.jobs}`, t.failed ? h("b", { class: "error" }, ` ${t.failed} failed`) : null),
      h("span", { class: "when" }, isOver || one.eta_seconds === null ? when.toLocaleString([], { dateStyle: "short", timeStyle: "short" }) : `${durationText(one.eta_seconds)} left`),
    ),
  );
}

export function variable(one) {
  const { variable: alone, variables = [] } = one.definition;
  return alone ? alone.name : variables.map((knob) => knob.name).join(" × ");
}
