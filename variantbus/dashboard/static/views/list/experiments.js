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

export class ExperimentsView {
  constructor(route) {
    this.timer = 0;
    this.frame = 0;
    this.list = null; // the element
    this.query = queryOf(route);
    this.chosen = new Set();
    this.owners = new Map(); // of the menus, by id
    this.element = document.createElement("section");
    this.element.className = "experiments";
    this.element.addEventListener("keydown", walk);
    this.hold = (found) => (this.list = found ?? null); // the same function at each drawing: with another one, lit-html would let the list go and take it again
    this.sizes = new ResizeObserver(() => this.later());
    this.listening = new AbortController();
    document.addEventListener("scroll", () => this.later(), { capture: true, passive: true, signal: this.listening.signal });
    state.list.show(this.query);
  }

  go(newRoute) {
    clearTimeout(this.timer); // what was typed belongs to the address before
    this.query = queryOf(newRoute);
    const typed = this.element.querySelector("input[type=search]");
    if (typed) typed.value = this.query.search;
    state.list.show(this.query);
    this.draw();
  }

  /** Show another selection of experiments, under the same entry of the history. */
  choose(changes) {
    this.query = { ...this.query, ...changes };
    replaceRoute(linkTo([""], { search: this.query.search, state: this.query.state, sort: this.query.sort === ORDERS[0] ? "" : this.query.sort, archived: this.query.isArchived ? "1" : "" }));
    state.list.show(this.query);
    this.draw();
  }

  type(text) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.choose({ search: text.trim() }), PAUSE);
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const scroller = this.element.parentElement;
    if (!scroller) return;
    render(this.page(), this.element);
    if (!this.list) return;
    const { ids, rows, total } = state.list;
    const high = heightOf(this.list);
    const [first, last] = inSight(this.list, scroller, high, ids.length);
    const shown = ids.slice(first, last);
    this.list.style.setProperty("padding-top", `${first * high}px`);
    this.list.style.setProperty("padding-bottom", `${(ids.length - last) * high}px`);
    const mark = (id, isChosen) => {
      isChosen ? this.chosen.add(id) : this.chosen.delete(id);
      this.draw();
    };
    render(rowsOf(shown, { first, total, rows, chosen: this.chosen, owners: this.owners, choose: mark, act }), this.list);
    state.list.see(shown);
  }

  page() {
    const { ids, total, isLoaded, error } = state.list;
    for (const id of this.chosen) if (isLoaded && !ids.includes(id)) this.chosen.delete(id);
    const isFiltered = this.query.search || this.query.state || this.query.isArchived;
    if (isLoaded && !ids.length && !isFiltered) return welcome();
    return html`<div class="bar"><h1>Experiments</h1>
        <a class="button primary" href="#/new">${icon("plus")}<span>New<span class="long"> experiment</span></span></a></div>
      ${this.filters()}
      <p class="facts" role="status">${countText(isLoaded, ids.length, total)}</p>
      ${ids.length ? html`<ul class="list" aria-label="Experiments" ${ref(this.hold)}></ul>` : html`<p class="empty">${emptyText(isLoaded, error)}</p>`}
      ${this.chosen.size ? this.selection() : nothing}`;
  }

  filters() {
    const option = (words, now) => ([value, text]) => html`<option value=${value} .selected=${live(value === now)}>${words[value] ?? text}</option>`;
    const select = (label, words, now, take) => html`<select aria-label=${label} @change=${(event) => take(event.target.value)}>${Object.entries(words).map(option(words, now))}</select>`;
    return html`<div class="bar filters" role="search">
      <input type="search" placeholder="Search by name, variable, prompt or state" aria-label="Search experiments" maxlength="200"
        .defaultValue=${this.query.search} @input=${(event) => this.type(event.target.value)} />
      ${select("State", STATE_WORDS, this.query.state, (value) => this.choose({ state: value }))}
      ${select("Order", ORDER_WORDS, this.query.sort, (value) => this.choose({ sort: value }))}
      <label class="check"><input type="checkbox" .checked=${live(this.query.isArchived)} @change=${(event) => this.choose({ isArchived: event.target.checked })} /> Archived</label>
    </div>`;
  }

  selection() {
    const ids = [...this.chosen];
    const isCompared = ids.length > 1 && ids.length <= MOST_COMPARED;
    const put = { archive: () => archiveAll(ids, this.query.isArchived), delete: () => deleteAll(ids) };
    const shelve = this.query.isArchived ? "Take out of the archive" : "Archive";
    const button = (text, name, act, kind = "") => html`<button class=${kind} aria-label=${text} @click=${act}>${icon(name)}<span class="long">${text}</span></button>`;
    return html`<div class="bar selection" role="region" aria-label="Selected">
      <b>${ids.length}<span class="long"> selected</span></b>
      <button class="primary" ?disabled=${!isCompared} title=${isCompared ? nothing : `Select 2 to ${MOST_COMPARED} to compare them`} @click=${() => (location.hash = linkTo(["compare", ...ids]))}>${icon("compare")}Compare</button>
      ${button(shelve, "archive", put.archive)}${button("Delete …", "trash", put.delete, "danger")}
      ${button("Clear", "close", () => (this.chosen.clear(), this.draw()), "plain")}
    </div>`;
  }

  update(changes) {
    if (changes.has("all")) this.sizes.observe(this.element.parentElement);
    if (changes.has("all") || changes.has("experiments")) this.draw();
  }

  close() {
    this.sizes.disconnect();
    this.listening.abort();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    state.list.leave();
  }
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
