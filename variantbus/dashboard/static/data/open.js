// The experiment that is shown: its status, variants, cells and ratings, as a snapshot and events tell of them.

import { pictureIndex } from "./pictures.js";
import { blocksOf } from "./values.js";

const OVER = ["completed", "failed", "cancelled"];

/** Return an experiment of which nothing is known yet; `told` is called with what has changed. */
export function openExperiment(id, told) {
  const pictures = pictureIndex(id);
  let repeatsKey = "";
  let repeatList = [];
  let most = 0; // repeats seen in cells
  const open = {
    id, status: null, variants: new Map(), cells: new Map(), ratings: new Map(), comparisons: [], recommendation: null,
    error: "", isMissing: false, isLoaded: false, isDeleted: false,
    repeats, pictures: () => pictures.take(open.variants, open.cells, repeats()), takeStatus, takeVariant, takeSnapshot, moveCell, measure,
  };

  /** Return the repeats, as many as were planned or seen: the seeds of one block after another. The same array until there are more. */
  function repeats() {
    const blocks = blocksOf(open.status?.definition);
    const planned = open.status ? (open.status.definition.jobs_per_variant ?? 1) * blocks : 0; // one seed is left out
    const count = Math.max(planned, most);
    if (repeatsKey === `${count} ${blocks}`) return repeatList;
    repeatsKey = `${count} ${blocks}`;
    repeatList = Array.from({ length: count }, (_, repeat) => repeat).sort((one, other) => (one % blocks) - (other % blocks) || one - other);
    return repeatList;
  }

  function takeStatus(body) {
    if (open.status && body.revision <= open.status.revision) return;
    open.status = body;
    told("status");
  }

  function takeVariant(body) {
    const known = open.variants.get(body.variant_index);
    if (known && body.revision <= known.revision) return;
    open.variants.set(body.variant_index, body);
    pictures.touch(body.variant_index);
    told("variants");
  }

  /** Take what the learning service knows; what it has not applied yet is known from events, and stays. */
  function takeSnapshot({ experiment, cells, ratings, comparisons }) {
    const known = new Map(cells.map((one) => [cellKey(one.variant_index, one.repeat_index), one]));
    const images = Map.groupBy(cells, (one) => one.variant_index);
    takeStatus(experiment);
    for (const variant of experiment.variants) takeVariant({ ...variant, images: imagesOf(images.get(variant.variant_index) ?? []) });
    open.recommendation = experiment.recommendation ?? null;
    const before = open.cells;
    open.cells = new Map();
    for (const [key, one] of known) put(key, cellOf(one));
    // a failure that the service does not know was retried
    for (const [key, one] of before) if (!known.has(key) && !["failed", "cancelled"].includes(one.state)) put(key, one);
    open.ratings = new Map(ratings.map((one) => [one.sha256, one]));
    pictures.touchAll();
    Object.assign(open, { comparisons, error: "", isMissing: false, isLoaded: true });
    told("open");
  }

  function moveCell(body, state, more = {}) {
    const context = body.learning_context;
    if (!context) return;
    const key = cellKey(context.variant_index, context.repeat_index);
    const known = open.cells.get(key);
    if (known && OVER.includes(known.state) && state === "running" && known.jobId === body.job_id) return; // an old event
    put(key, cell(state, { ...more, jobId: body.job_id }));
    pictures.touch(context.variant_index);
    told(`cell ${key}`);
  }

  /** Add what scorers say of a job that has ended before. */
  function measure(body) {
    const context = body.learning_context;
    const key = context && cellKey(context.variant_index, context.repeat_index);
    const known = open.cells.get(key);
    if (!known) return;
    put(key, { ...known, metrics: { ...known.metrics, ...body.metrics } });
    told(`cell ${key}`);
  }

  function put(key, one) {
    open.cells.set(key, one);
    most = Math.max(most, Number(key.slice(key.indexOf(".") + 1)) + 1);
  }

  return open;
}

/** Return the key of a cell. */
export function cellKey(variant, repeat) {
  return `${variant}.${repeat}`;
}

/** Return a cell in a state. */
function cell(state, more = {}) {
  return { state, progress: 0, preview: null, images: [], error: null, metrics: {}, seconds: null, warnings: [], reused: false, finishedAt: null, ...more };
}

function cellOf({ state, job_id: jobId, finished_at: finishedAt, variant_index: _, repeat_index: __, ...more }) {
  return cell(state, { ...more, jobId, finishedAt });
}

/** Return each picture of some cells once. */
function imagesOf(cells) {
  return [...new Map(cells.flatMap((one) => one.images ?? []).map((image) => [image.sha256, image])).values()];
}
