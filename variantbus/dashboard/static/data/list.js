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

/** `told` is called after each change. */
export function listOf(told) {
  let isShown = false;
  let asked = 0; // requests for ids; an answer to an earlier one than the newest is dropped
  let timer = 0; // to the next of these
  let sight = []; // the ids of the rows in sight
  let isAsking = false;
  let looking = 0;
  let known = new Set(); // the ids
  let stale = new Set(); // the ids of rows to be asked for again
  const changedAt = new Map(); // id -> when its row changed
  const gone = new Set(); // ids that were dropped while a request for ids was under way, which may still have them
  const list = { query: { search: "", state: "", sort: ORDERS[0], isArchived: false }, ids: [], total: 0, rows: new Map(), isLoaded: false, error: "" };

  /** Show the list of a search, a state, an order, and of what is archived or not; keep it current until `leave`. */
  function show(query) {
    const isSame = JSON.stringify(query) === JSON.stringify(list.query);
    if (isSame && isShown && list.isLoaded) return;
    isShown = true;
    looking ||= setInterval(refresh, REFRESH);
    if (!isSame) Object.assign(list, { query, isLoaded: false });
    load().catch(() => {});
  }

  /** No list is shown any more. */
  function leave() {
    isShown = false;
    sight = [];
    clearTimeout(timer);
    clearInterval(looking);
    timer = looking = 0;
  }

  /** Ask for everything again, if a list is shown. */
  async function load() {
    if (!isShown) return;
    stale = new Set(list.rows.keys());
    await order();
  }

  /** Ask for the ids. */
  async function order() {
    clearTimeout(timer);
    timer = 0;
    const mine = ++asked;
    gone.clear();
    try {
      const found = await get(`/api/experiments?${wordsOf(list.query)}`);
      if (mine !== asked) return;
      const ids = found.ids.filter((id) => !gone.has(id));
      const total = found.total - (found.ids.length - ids.length);
      known = new Set(ids);
      Object.assign(list, { ids, total, isLoaded: true, error: "" });
      fetchRows();
    } catch (error) {
      if (mine !== asked) return;
      list.error = error.message;
      throw error;
    } finally {
      if (mine === asked) told();
    }
  }

  /** These rows are in sight: ask for what is not known of them. */
  function see(ids) {
    sight = ids;
    fetchRows();
  }

  async function fetchRows() {
    if (isAsking) return; // it goes on with what is in sight then
    isAsking = true;
    try {
      for (;;) {
        const ids = sight.filter((id) => !list.rows.has(id) || stale.has(id)).slice(0, AT_ONCE);
        if (!ids.length) return;
        const { overviews, rest } = await get(`/api/overviews?${new URLSearchParams(ids.map((id) => ["id", id]))}`);
        for (const id of ids) if (!rest.includes(id)) stale.delete(id);
        for (const one of overviews) keep(one);
        const there = new Set([...overviews.map((one) => one.experiment.experiment_id), ...rest]);
        for (const id of ids) if (!there.has(id)) forget(id); // it was deleted a moment ago
        told();
      }
    } catch {
      // the page is told by other means that a service does not answer, and loads everything again once it does
    } finally {
      isAsking = false;
    }
  }

  function keep(one) {
    const before = list.rows.get(one.experiment.experiment_id)?.experiment;
    if (before?.revision > one.experiment.revision) one.experiment = before;
    list.rows.set(one.experiment.experiment_id, one);
    changedAt.set(one.experiment.experiment_id, Math.max(changedAt.get(one.experiment.experiment_id) ?? 0, 1000 * one.experiment.updated_at));
  }

  /** Take the newest status of an experiment. One that is not in the list may belong there: the service knows. */
  function take(status) {
    const id = status.experiment_id;
    const row = list.rows.get(id);
    if (Boolean(status.archived) !== list.query.isArchived) drop(id);
    else if (row && status.revision > row.experiment.revision) {
      list.rows.set(id, { ...row, experiment: status });
      changedAt.set(id, Date.now());
      told();
    }
    if (!isShown) return;
    const { search, state, sort } = list.query;
    const mayMove = search || state || !["newest", "oldest"].includes(sort);
    if (!timer && (mayMove || !known.has(id))) timer = setTimeout(() => order().catch(() => {}), mayMove ? SLOW_PAUSE : PAUSE);
  }

  /** Look again at what has changed of late. */
  function refresh() {
    if (document.hidden) return;
    for (const id of sight) if (Date.now() - (changedAt.get(id) ?? 0) < RECENT) stale.add(id);
    fetchRows();
  }

  /** Show an experiment no more: it is deleted, or in the other list. */
  function drop(id) {
    gone.add(id);
    if (forget(id)) told();
  }

  function forget(id) {
    list.rows.delete(id);
    stale.delete(id);
    changedAt.delete(id);
    if (!known.delete(id)) return false;
    list.ids = list.ids.filter((one) => one !== id);
    list.total -= 1;
    return true;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !isShown) return;
    stale = new Set(list.rows.keys()); // somebody may have rated meanwhile
    fetchRows();
  });
  return Object.assign(list, { show, leave, load, see, take, drop });
}

function wordsOf({ search, state, sort, isArchived }) {
  const words = new URLSearchParams({ order: sort });
  if (search) words.set("search", search);
  if (isArchived) words.set("archived", "1");
  for (const one of STATES[state] ?? []) words.append("state", one);
  return words;
}
