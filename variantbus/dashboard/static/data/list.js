// The list of experiments: pages of all of them, or of a search, which the service makes. Newest first, kept current by events.

import { get } from "./api.js";

const PAUSE = 300; // ms, so that many events make one request
const SEARCH_PAUSE = 2000; // where the service has to search again

/** `told` is called after each change. */
export function listOf(told) {
  let asked = 0; // requests; an answer to an earlier one than the newest is dropped
  let timer = 0;
  const list = { experiments: new Map(), search: "", isArchived: false, before: null, isLoaded: false, error: "", load, find, shelve, more, take, drop };

  /** Ask for as many experiments as are shown. */
  async function load(shown = list.experiments.size) {
    await put(async (isNewest) => {
      let page = await pageOf(null);
      const found = [...page.experiments];
      while (page.before !== null && found.length < shown && isNewest()) {
        page = await pageOf(page.before);
        found.push(...page.experiments);
      }
      return { found, before: page.before };
    });
  }

  /** Show those with all words of a search; "" for all. */
  async function find(search) {
    list.search = search;
    await load(0).catch(() => {});
  }

  /** Show those that are archived, or the others. */
  async function shelve(isArchived) {
    list.isArchived = isArchived;
    await load(0).catch(() => {});
  }

  /** Show one more page. */
  async function more() {
    if (list.before === null) return;
    const before = list.before;
    await put(async () => {
      const page = await pageOf(before);
      return { found: [...list.experiments.values(), ...page.experiments], before: page.before };
    }).catch(() => {});
  }

  /** Take the newest status of an experiment. One that is not shown may be new: the service says where it stands. */
  function take(status) {
    const known = list.experiments.get(status.experiment_id);
    if (Boolean(status.archived) !== list.isArchived) return drop(status.experiment_id);
    if (known && status.revision > known.revision) {
      list.experiments.set(status.experiment_id, status);
      told();
    }
    if ((!known || list.search) && !timer) timer = setTimeout(askAgain, list.search ? SEARCH_PAUSE : PAUSE);
  }

  /** Show an experiment no more: it is deleted, or in the other list. */
  function drop(id) {
    if (list.experiments.delete(id)) told();
  }

  /** Ask for the first page again, and keep what is shown behind it. */
  async function askAgain() {
    timer = 0;
    await put(async () => {
      const page = await pageOf(null);
      const found = new Set(page.experiments.map((one) => one.experiment_id));
      const rest = page.before === null ? [] : [...list.experiments.values()].filter((one) => !found.has(one.experiment_id));
      return { found: [...page.experiments, ...rest], before: rest.length ? list.before : page.before };
    }).catch(() => {});
  }

  async function put(ask) {
    const mine = ++asked;
    try {
      const { found, before } = await ask(() => mine === asked);
      if (mine !== asked) return;
      const known = list.experiments;
      const newest = (one) => (known.get(one.experiment_id)?.revision > one.revision ? known.get(one.experiment_id) : one);
      list.experiments = new Map(found.map((one) => [one.experiment_id, newest(one)]));
      Object.assign(list, { before, isLoaded: true, error: "" });
    } catch (error) {
      if (mine !== asked) return;
      list.error = error.message;
      throw error;
    } finally {
      if (mine === asked) told();
    }
  }

  /** Return a page with at least one experiment, or the last one: the service may have to look at many before it finds one. */
  async function pageOf(before) {
    const { search, isArchived } = list;
    for (;;) {
      const query = new URLSearchParams({ ...(search && { search }), ...(isArchived && { archived: 1 }), ...(before !== null && { before }) });
      const page = await get(`/api/experiments?${query}`);
      if (page.experiments.length || page.before === null) return page;
      before = page.before;
    }
  }

  return list;
}
