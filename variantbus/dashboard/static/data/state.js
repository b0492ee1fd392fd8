// The state: loaded once as a snapshot and updated by events. Views are notified of changes, once a frame.

import { get, of } from "./api.js";
import { listOf } from "./list.js";
import { blocksOf, parse } from "./values.js";

/** The data of all views. `open` is the experiment that is shown, with its variants and cells. */
export const state = { list: listOf(() => changed("experiments")), open: null, system: [], rejected: [], isConnected: false, isLoaded: false };

const REJECTED = 50;
const watchers = new Set();
let changes = new Set();
let source = null;
let waiting = null; // events that arrive while the snapshot is loaded

/** Call a function with each set of changes; return the function that stops this. */
export function watch(told) {
  watchers.add(told);
  return () => watchers.delete(told);
}

/** Show an experiment, or none. */
export function look(id) {
  state.open = id ? { id, status: null, variants: new Map(), cells: new Map(), ratings: new Map(), comparisons: [], recommendation: null, error: "" } : null;
  connect();
}

/** Return the key of a cell. */
export function cellKey(variant, repeat) {
  return `${variant}.${repeat}`;
}

/** Return the repeats of the open experiment, as many as were planned or seen: the seeds of one block after another. */
export function repeats() {
  const open = state.open;
  const blocks = blocksOf(open?.status?.definition);
  let most = open?.status ? (open.status.definition.jobs_per_variant ?? 1) * blocks : 0; // one seed is left out
  for (const key of open?.cells.keys() ?? []) most = Math.max(most, Number(key.split(".")[1]) + 1);
  return Array.from({ length: most }, (_, repeat) => repeat).sort((one, other) => (one % blocks) - (other % blocks) || one - other);
}

/** Return the state of a cell of which nothing is known: a search does not plan all that there is to try. */
export function unknownState() {
  return state.open?.status?.definition.mode === "adaptive" ? "untried" : "planned";
}

/** Return the pictures of the open experiment by variant and seed; one that several jobs of a variant made counts once. */
export function pictures() {
  const found = [];
  for (const variant of state.open.variants.values()) {
    const seen = new Set();
    for (const repeat of repeats()) {
      for (const image of state.open.cells.get(cellKey(variant.variant_index, repeat))?.images ?? []) {
        if (!seen.has(image.sha256)) found.push({ sha256: image.sha256, image, variant, repeat });
        seen.add(image.sha256);
      }
    }
  }
  return found;
}

function connect() {
  source?.close();
  const id = state.open?.id;
  source = new EventSource(`/api/events${id ? `?experiment=${encodeURIComponent(id)}` : ""}`);
  source.addEventListener("hello", () => {
    state.isConnected = true;
    changed("connection");
    reload();
  });
  source.addEventListener("reload", reload);
  source.addEventListener("message", (event) => {
    const told = parse(event.data);
    if (waiting) waiting.push(told);
    else take(told);
  });
  source.addEventListener("system", (event) => {
    const were = new Map(state.system.map((one) => [one.service, one.answers]));
    state.system = parse(event.data);
    changed("system");
    // a process that is back may have events that it had not sent
    if (state.system.some((one) => one.answers && were.get(one.service) === false)) reload();
  });
  source.onerror = () => {
    state.isConnected = false;
    changed("connection");
  };
}

async function reload() {
  if (waiting) return;
  waiting = [];
  const open = state.open;
  try {
    await Promise.all([state.list.load(), open ? loadOpen(open) : null]);
    state.isLoaded = true;
  } catch (error) {
    if (open?.status && error.status === 404) return lose(open); // it was deleted while this page did not listen
    if (open) Object.assign(open, { error: error.message, isMissing: error.status === 404 });
    setTimeout(reload, 2000);
    changed("open");
  } finally {
    const came = waiting;
    waiting = null;
    came.forEach(take);
    if (state.open !== open) reload(); // another experiment was opened meanwhile
  }
}

async function loadOpen(open) {
  const [view, records] = await Promise.all([get(of(open.id)), get(of(open.id, "records"))]);
  Object.assign(open, { error: "", isMissing: false });
  takeStatus(open, view);
  for (const variant of view.variants) takeVariant(open, variant);
  open.recommendation = view.recommendation ?? null;
  const images = Map.groupBy(records.records.pictures, (one) => one.job_id);
  const cells = new Map();
  for (const one of records.records.results) {
    const mine = (images.get(one.job_id) ?? []).map((picture) => picture.image);
    cells.set(cellKey(one.variant_index, one.repeat_index), cell(one.state, { images: mine, error: one.error, metrics: one.metrics, seconds: one.seconds }));
  }
  // jobs that the learning service has not applied yet; a failure that it does not know was retried
  for (const [key, known] of open.cells) if (!cells.has(key) && !["failed", "cancelled"].includes(known.state)) cells.set(key, known);
  open.cells = cells;
  open.ratings = new Map(records.records.ratings.map((one) => [one.sha256, one]));
  open.comparisons = records.records.comparisons;
  changed("open");
}

function cell(cellState, more = {}) {
  return { state: cellState, progress: 0, preview: null, images: [], error: null, metrics: {}, warnings: [], reused: false, ...more };
}

const TAKERS = {
  "experiment.status": (body) => {
    state.list.take(body);
    if (state.open?.id === body.experiment_id) takeStatus(state.open, body);
  },
  "experiment.deleted": (body) => {
    state.list.drop(body.experiment_id);
    if (state.open?.id === body.experiment_id) lose(state.open);
  },
  "variant.status": (body) => takeVariant(state.open, body),
  "job.queued": (body) => moveCell(body, "queued"),
  "job.started": (body) => moveCell(body, "running"),
  "job.progress": (body) => moveCell(body, "running", { progress: body.fraction, preview: body.preview ?? null }),
  "job.completed": (body) => {
    const result = body.result;
    const ended = result.success ? "completed" : result.cancelled ? "cancelled" : "failed";
    moveCell(body, ended, {
      images: result.images,
      error: result.error?.message ?? null,
      metrics: result.metrics,
      seconds: result.seconds,
      warnings: result.warnings,
      reused: Boolean(result.reused_from),
    });
  },
  "job.scored": (body) => {
    const context = body.learning_context;
    const known = context && state.open.cells.get(cellKey(context.variant_index, context.repeat_index));
    if (known) moveCell(body, known.state, { ...known, metrics: { ...known.metrics, ...body.metrics } });
  },
  "image.rated": (body) => takeRating(body),
  "images.compared": (body) => takeComparison(body),
  "recommendation.updated": (body) => {
    state.open.recommendation = body;
    changed("recommendation");
  },
  "event.rejected": (body) => {
    state.rejected = [{ ...body, at: Date.now() }, ...state.rejected].slice(0, REJECTED);
    changed("rejected");
  },
};

function take({ topic, body }) {
  const isOurs = !body.experiment_id && !body.learning_context ? true : (body.experiment_id ?? body.learning_context?.experiment_id) === state.open?.id;
  const isForAll = ["experiment.status", "experiment.deleted"].includes(body.type);
  if (!isOurs && !isForAll) return;
  if (topic !== "event.rejected." && !isForAll && !state.open) return;
  TAKERS[body.type]?.(body);
}

/** Take what holds of a picture now. */
export function takeRating(body) {
  if (body.stars === null) state.open.ratings.delete(body.sha256);
  else state.open.ratings.set(body.sha256, body);
  changed("ratings");
}

/** Take a comparison, or that one is taken back: it has no outcome then. */
export function takeComparison(body) {
  const open = state.open;
  const at = open.comparisons.findLastIndex((one) => one.compared_at === body.compared_at && one.left === body.left && one.right === body.right);
  if (body.outcome === null) open.comparisons = open.comparisons.filter((_, place) => place !== at);
  else if (at < 0) open.comparisons = [...open.comparisons, body];
  changed("ratings");
}

/** The open experiment is no more. */
function lose(open) {
  open.isDeleted = true;
  changed("deleted");
}

function takeStatus(open, body) {
  if (open.status && body.revision <= open.status.revision) return;
  open.status = body;
  changed("status");
}

function takeVariant(open, body) {
  const known = open.variants.get(body.variant_index);
  if (known && body.revision <= known.revision) return;
  open.variants.set(body.variant_index, body);
  changed("variants");
}

function moveCell(body, cellState, more = {}) {
  const context = body.learning_context;
  if (!context) return;
  const key = cellKey(context.variant_index, context.repeat_index);
  const known = state.open.cells.get(key);
  const isOver = known && ["completed", "failed", "cancelled"].includes(known.state);
  if (isOver && cellState === "running" && known.jobId === body.job_id) return; // an old event
  state.open.cells.set(key, cell(cellState, { ...more, jobId: body.job_id }));
  changed(`cell ${key}`);
}

/** Tell the views of a change that is not in the events. */
export function notify(what) {
  changed(what);
}

function changed(what) {
  if (!changes.size) {
    // a hidden page has no frames, but must be up to date too
    const later = document.hidden ? (done) => setTimeout(done, 200) : requestAnimationFrame;
    later(() => {
      const told = changes;
      changes = new Set();
      for (const watcher of [...watchers]) watcher(told);
    });
  }
  changes.add(what);
}
