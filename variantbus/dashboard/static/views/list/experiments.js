// All experiments, newest first, with a search that the service makes.

import { h, fill } from "../../base/dom.js";
import { durationText } from "../../base/text.js";
import { state } from "../../data/state.js";

const PAUSE = 200; // ms from the last key to the search

export function experimentsView() {
  let timer = 0;
  const rows = new Map(); // id -> { status, element }
  const search = h("input", { type: "search", placeholder: "Search by name, variable, prompt or state", "aria-label": "Search experiments", maxlength: 200, value: state.list.search, oninput: soon });
  const archived = h("label", { class: "check" }, h("input", { type: "checkbox", checked: state.list.isArchived, onchange: (event) => state.list.shelve(event.target.checked) }), " Archived");
  const list = h("ul", { class: "list" });
  const more = h("button", { onclick: () => state.list.more() }, "Show more");
  const element = h("section", {}, h("div", { class: "bar" }, h("h1", {}, "Experiments"), archived, search, h("a", { class: "button primary", href: "#/new" }, "New experiment")), list, h("div", { class: "bar" }, more));
  const observer = new IntersectionObserver(([seen]) => seen.isIntersecting && state.list.more());
  observer.observe(more);

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => state.list.find(search.value.trim()), PAUSE);
  }

  function draw() {
    const found = [...state.list.experiments.values()];
    if (found.length) fill(list, found.map(row));
    else fill(list, h("li", { class: "empty" }, empty()));
    for (const id of rows.keys()) if (!state.list.experiments.has(id)) rows.delete(id);
    more.hidden = state.list.before === null;
    if (more.hidden) return;
    observer.unobserve(more); // it may still be in sight, which is then told once more
    observer.observe(more);
  }

  function row(one) {
    const known = rows.get(one.experiment_id);
    if (known?.status === one) return known.element;
    const made = card(one);
    rows.set(one.experiment_id, { status: one, element: made });
    return made;
  }

  function close() {
    observer.disconnect();
    clearTimeout(timer);
  }

  return { element, update: (changes) => (changes.has("all") || changes.has("experiments")) && draw(), close };
}

function empty() {
  if (state.list.error) return state.list.error;
  if (!state.list.isLoaded) return "asking the learning service …";
  if (state.list.isArchived && !state.list.search) return "No experiment is archived.";
  return state.list.search ? "nothing is found" : ["There is no experiment yet. ", h("a", { href: "#/new" }, "Plan the first one"), "."];
}

function card(one) {
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
