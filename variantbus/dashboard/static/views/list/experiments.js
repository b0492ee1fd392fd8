// All experiments: searched, filtered and put in order as the address says.

import { html, live, nothing, ref, render } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { linkTo, replaceRoute } from "../../base/routes.js";
import { ORDERS, STATES } from "../../data/list.js";
import { state } from "../../data/state.js";
import { archive, archiveAll, deleteAll, deleteForGood } from "../../experiment/putaway.js";
import { welcome } from "./welcome.js";
import { heightOf, inSight, rowsOf } from "./rows.js";

const PAUSE = 200; // ms from the last key to the search
const MOST_COMPARED = 6;
const STATE_WORDS = { "": "All states", working: "At work", completed: "Completed", failed: "With failures", cancelled: "Cancelled" };
const ORDER_WORDS = { newest: "Newest first", oldest: "Oldest first", changed: "Last changed first", name: "By name", waiting: "Most to rate first" };

export function experimentsView(route) {
  let timer = 0;
  let frame = 0;
  let list = null; // the element
  let query = queryOf(route);
  const chosen = new Set();
  const owners = new Map(); // of the menus, by id
  const element = document.createElement("section");
  element.className = "experiments";
  const sizes = new ResizeObserver(later);

  function go(newRoute) {
    clearTimeout(timer); // what was typed belongs to the address before
    query = queryOf(newRoute);
    const typed = element.querySelector("input[type=search]");
    if (typed) typed.value = query.search;
    state.list.show(query);
    draw();
  }

  /** Show another selection of experiments, under the same entry of the history. */
  function choose(changes) {
    query = { ...query, ...changes };
    replaceRoute(linkTo([""], { search: query.search, state: query.state, sort: query.sort === ORDERS[0] ? "" : query.sort, archived: query.isArchived ? "1" : "" }));
    state.list.show(query);
    draw();
  }

  function type(text) {
    clearTimeout(timer);
    timer = setTimeout(() => choose({ search: text.trim() }), PAUSE);
  }

  function later() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  }

  function draw() {
    const scroller = element.parentElement;
    if (!scroller) return;
    render(page(), element);
    if (!list) return;
    const { ids, rows, total } = state.list;
    const high = heightOf(list);
    const [first, last] = inSight(list, scroller, high, ids.length);
    const shown = ids.slice(first, last);
    list.style.setProperty("padding-top", `${first * high}px`);
    list.style.setProperty("padding-bottom", `${(ids.length - last) * high}px`);
    const mark = (id, isChosen) => {
      isChosen ? chosen.add(id) : chosen.delete(id);
      draw();
    };
    render(rowsOf(shown, { first, total, rows, chosen, owners, choose: mark, act }), list);
    state.list.see(shown);
  }

  function page() {
    const { ids, total, isLoaded, error } = state.list;
    for (const id of chosen) if (isLoaded && !ids.includes(id)) chosen.delete(id);
    const isFiltered = query.search || query.state || query.isArchived;
    if (isLoaded && !ids.length && !isFiltered) return welcome();
    return html`<div class="bar"><h1>Experiments</h1>
        <a class="button primary" href="#/new">${icon("plus")}<span>New<span class="long"> experiment</span></span></a></div>
      ${filters()}
      <p class="facts" role="status">${countText(isLoaded, ids.length, total)}</p>
      ${ids.length ? html`<ul class="list" aria-label="Experiments" ${ref(hold)}></ul>` : html`<p class="empty">${emptyText(isLoaded, error)}</p>`}
      ${chosen.size ? selection() : nothing}`;
  }

  function hold(found) {
    list = found ?? null;
  }

  function filters() {
    const option = (words, now) => ([value, text]) => html`<option value=${value} .selected=${live(value === now)}>${words[value] ?? text}</option>`;
    const select = (label, words, now, take) => html`<select aria-label=${label} @change=${(event) => take(event.target.value)}>${Object.entries(words).map(option(words, now))}</select>`;
    return html`<div class="bar filters" role="search">
      <input type="search" placeholder="Search by name, variable, prompt or state" aria-label="Search experiments" maxlength="200"
        .defaultValue=${query.search} @input=${(event) => type(event.target.value)} />
      ${select("State", STATE_WORDS, query.state, (value) => choose({ state: value }))}
      ${select("Order", ORDER_WORDS, query.sort, (value) => choose({ sort: value }))}
      <label class="check"><input type="checkbox" .checked=${live(query.isArchived)} @change=${(event) => choose({ isArchived: event.target.checked })} /> Archived</label>
    </div>`;
  }

  function selection() {
    const ids = [...chosen];
    const isCompared = ids.length > 1 && ids.length <= MOST_COMPARED;
    const put = { archive: () => archiveAll(ids, query.isArchived), delete: () => deleteAll(ids) };
    const shelve = query.isArchived ? "Take out of the archive" : "Archive";
    const button = (text, name, act, kind = "") => html`<button class=${kind} aria-label=${text} @click=${act}>${icon(name)}<span class="long">${text}</span></button>`;
    return html`<div class="bar selection" role="region" aria-label="Selected">
      <b>${ids.length}<span class="long"> selected</span></b>
      <button class="primary" ?disabled=${!isCompared} title=${isCompared ? nothing : `Select 2 to ${MOST_COMPARED} to compare them`} @click=${() => (location.hash = linkTo(["compare", ...ids]))}>${icon("compare")}Compare</button>
      ${button(shelve, "archive", put.archive)}${button("Delete …", "trash", put.delete, "danger")}
      ${button("Clear", "close", () => (chosen.clear(), draw()), "plain")}
    </div>`;
  }

  function act(what, { experiment }) {
    if (what === "archive") archive(experiment.experiment_id, experiment.archived);
    else deleteForGood(experiment, null);
  }

  /** Up and down walk through the names. */
  function walk(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const name = step && event.target.closest?.(".card .name");
    if (!name) return;
    event.preventDefault();
    name.closest(".card")[step]?.querySelector(".name").focus();
  }

  element.addEventListener("keydown", walk);
  document.addEventListener("scroll", later, { capture: true, passive: true });
  state.list.show(query);

  return {
    element,
    update(changes) {
      if (changes.has("all")) sizes.observe(element.parentElement);
      if (changes.has("all") || changes.has("experiments")) draw();
    },
    go,
    close() {
      sizes.disconnect();
      document.removeEventListener("scroll", later, { capture: true });
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      state.list.leave();
    },
  };
}

function queryOf({ query }) {
  const [state, sort] = [query.get("state") ?? "", query.get("sort") ?? ""];
  return {
    search: query.get("search") ?? "",
    state: STATES[state] ? state : "",
    sort: ORDERS.includes(sort) ? sort : ORDERS[0],
    isArchived: query.has("archived"),
  };
}

function countText(isLoaded, shown, total) {
  if (!isLoaded) return "…";
  if (shown < total) return `the first ${shown.toLocaleString("en")} of ${total.toLocaleString("en")}: search for the others`;
  return total ? `${total.toLocaleString("en")} ${total === 1 ? "experiment" : "experiments"}` : "";
}

function emptyText(isLoaded, error) {
  if (error) return error;
  if (!isLoaded) return "asking the learning service …";
  if (state.list.query.search || state.list.query.state) return "No experiment matches.";
  return "No experiment is archived.";
}
