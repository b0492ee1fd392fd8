// The list of experiments: the ids of all in their order, and what is shown of those in sight, asked for by and by.

import { get } from "./api.js";

const PAUSE = 300; // ms, so that many events make one request
const SLOW_PAUSE = 2000; // where the service has to search or to order again
const REFRESH = 3000; // ms between two looks at what has changed: what follows, such as another value that leads, comes later
const RECENT = 60000; // ms after a change in which more may follow from it
const AT_ONCE = 30; // rows in a request

/** The states by which a list can be filtered, by their word in an address. */
export const STATES = {
  working: ["pending", "queued", "running"],
  completed: ["completed"],
  failed: ["failed", "partial"],
  cancelled: ["cancelled"],
};

/** The orders of a list; the first one is that of an address without one. */
export const ORDERS = ["newest", "oldest", "changed", "name", "waiting"];

/** The list of experiments; `told` is called after each change. */
export class ExperimentList {
  constructor(told) {
    this.told = told;
    this.query = { search: "", state: "", sort: ORDERS[0], isArchived: false };
    this.ids = [];
    this.total = 0;
    this.rows = new Map(); // id -> what is known of it
    this.isLoaded = false;
    this.error = "";
    this.isShown = false;
    this.asked = 0; // requests for ids; an answer to an earlier one than the newest is dropped
    this.timer = 0; // to the next of these
    this.sight = []; // the ids of the rows in sight
    this.isAsking = false;
    this.looking = 0;
    this.known = new Set(); // the ids
    this.stale = new Set(); // the ids of rows to be asked for again
    this.changedAt = new Map(); // id -> when its row changed
    this.gone = new Set(); // ids that were dropped while a request for ids was under way, which may still have them
    document.addEventListener("visibilitychange", () => this.seen());
  }

  /** Show the list of a search, a state, an order, and of what is archived or not; keep it current until `leave`. */
  show(query) {
    const isSame = JSON.stringify(query) === JSON.stringify(this.query);
    if (isSame && this.isShown && this.isLoaded) return;
    this.isShown = true;
    this.looking ||= setInterval(() => this.refresh(), REFRESH);
    if (!isSame) Object.assign(this, { query, isLoaded: false });
    this.load().catch(() => {});
  }

  /** No list is shown any more. */
  leave() {
    this.isShown = false;
    this.sight = [];
    clearTimeout(this.timer);
    clearInterval(this.looking);
    this.timer = this.looking = 0;
  }

  /** Ask for everything again, if a list is shown. */
  async load() {
    if (!this.isShown) return;
    this.stale = new Set(this.rows.keys());
    await this.order();
  }

  /** Ask for the ids. */
  async order() {
    clearTimeout(this.timer);
    this.timer = 0;
    const mine = ++this.asked;
    this.gone.clear();
    try {
      const found = await get(`/api/experiments?${wordsOf(this.query)}`);
      if (mine !== this.asked) return;
      const ids = found.ids.filter((id) => !this.gone.has(id));
      const total = found.total - (found.ids.length - ids.length);
      this.known = new Set(ids);
      Object.assign(this, { ids, total, isLoaded: true, error: "" });
      this.fetchRows();
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error.message;
      throw error;
    } finally {
      if (mine === this.asked) this.told();
    }
  }

  /** These rows are in sight: ask for what is not known of them. */
  see(ids) {
    this.sight = ids;
    this.fetchRows();
  }

  async fetchRows() {
    if (this.isAsking) return; // it goes on with what is in sight then
    this.isAsking = true;
    try {
      for (;;) {
        const ids = this.sight.filter((id) => !this.rows.has(id) || this.stale.has(id)).slice(0, AT_ONCE);
        if (!ids.length) return;
        const { overviews, rest } = await get(`/api/overviews?${new URLSearchParams(ids.map((id) => ["id", id]))}`);
        for (const id of ids) if (!rest.includes(id)) this.stale.delete(id);
        for (const one of overviews) this.keep(one);
        const there = new Set([...overviews.map((one) => one.experiment.experiment_id), ...rest]);
        for (const id of ids) if (!there.has(id)) this.forget(id); // it was deleted a moment ago
        this.told();
      }
    } catch {
      // the page is told by other means that a service does not answer, and loads everything again once it does
    } finally {
      this.isAsking = false;
    }
  }

  keep(one) {
    const before = this.rows.get(one.experiment.experiment_id)?.experiment;
    if (before?.revision > one.experiment.revision) one.experiment = before;
    this.rows.set(one.experiment.experiment_id, one);
    this.changedAt.set(one.experiment.experiment_id, Math.max(this.changedAt.get(one.experiment.experiment_id) ?? 0, 1000 * one.experiment.updated_at));
  }

  /** Take the newest status of an experiment. One that is not in the list may belong there: the service knows. */
  take(status) {
    const id = status.experiment_id;
    const row = this.rows.get(id);
    if (Boolean(status.archived) !== this.query.isArchived) this.drop(id);
    else if (row && status.revision > row.experiment.revision) {
      this.rows.set(id, { ...row, experiment: status });
      this.changedAt.set(id, Date.now());
      this.told();
    }
    if (!this.isShown) return;
    const { search, state, sort } = this.query;
    const mayMove = search || state || !["newest", "oldest"].includes(sort);
    if (!this.timer && (mayMove || !this.known.has(id))) this.timer = setTimeout(() => this.order().catch(() => {}), mayMove ? SLOW_PAUSE : PAUSE);
  }

  /** Look again at what has changed of late. */
  refresh() {
    if (document.hidden) return;
    for (const id of this.sight) if (Date.now() - (this.changedAt.get(id) ?? 0) < RECENT) this.stale.add(id);
    this.fetchRows();
  }

  /** Show an experiment no more: it is deleted, or in the other list. */
  drop(id) {
    this.gone.add(id);
    if (this.forget(id)) this.told();
  }

  forget(id) {
    this.rows.delete(id);
    this.stale.delete(id);
    this.changedAt.delete(id);
    if (!this.known.delete(id)) return false;
    this.ids = this.ids.filter((one) => one !== id);
    this.total -= 1;
    return true;
  }

  /** The page may be seen again. */
  seen() {
    if (document.hidden || !this.isShown) return;
    this.stale = new Set(this.rows.keys()); // somebody may have rated meanwhile
    this.fetchRows();
  }
}

function wordsOf({ search, state, sort, isArchived }) {
  const words = new URLSearchParams({ order: sort });
  if (search) words.set("search", search);
  if (isArchived) words.set("archived", "1");
  for (const one of STATES[state] ?? []) words.append("state", one);
  return words;
}
