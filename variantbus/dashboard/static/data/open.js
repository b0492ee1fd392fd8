// The experiment that is shown: its status, variants, cells and ratings, as a snapshot and events tell of them.

import { pictureIndex } from "./pictures.js";
import { blocksOf } from "./values.js";

const OVER = ["completed", "failed", "cancelled"];

/** An experiment, of which nothing is known at first; `told` is called with what has changed. */
export class OpenExperiment {
  constructor(id, told) {
    Object.assign(this, { id, told });
    this.status = null;
    this.variants = new Map();
    this.cells = new Map();
    this.ratings = new Map();
    this.comparisons = [];
    this.recommendation = null;
    this.error = "";
    this.isMissing = false;
    this.isLoaded = false;
    this.isDeleted = false;
    this.index = pictureIndex(id);
    this.repeatsKey = "";
    this.repeatList = [];
    this.most = 0; // repeats seen in cells
    this.untold = 0; // ends that the service counts and has told of no more
  }

  /** Return the repeats, as many as were planned or seen: the seeds of one block after another. The same array until there are more. */
  repeats() {
    const blocks = blocksOf(this.status?.definition);
    const planned = this.status ? (this.status.definition.jobs_per_variant ?? 1) * blocks : 0; // one seed is left out
    const count = Math.max(planned, this.most);
    if (this.repeatsKey === `${count} ${blocks}`) return this.repeatList;
    this.repeatsKey = `${count} ${blocks}`;
    this.repeatList = Array.from({ length: count }, (_, repeat) => repeat).sort((one, other) => (one % blocks) - (other % blocks) || one - other);
    return this.repeatList;
  }

  pictures() {
    return this.index.take(this.variants, this.cells, this.repeats());
  }

  takeStatus(body) {
    if (this.status && body.revision <= this.status.revision) return;
    this.status = body;
    this.told("status");
  }

  takeVariant(body) {
    const known = this.variants.get(body.variant_index);
    if (known && body.revision <= known.revision) return;
    this.variants.set(body.variant_index, body);
    this.index.touch(body.variant_index);
    this.told("variants");
  }

  /** Take what the learning service knows; what it has not applied yet is known from events, and stays. */
  takeSnapshot({ experiment, cells, ratings, comparisons }) {
    const known = new Map(cells.map((one) => [cellKey(one.variant_index, one.repeat_index), one]));
    const images = Map.groupBy(cells, (one) => one.variant_index);
    this.takeStatus(experiment);
    for (const variant of experiment.variants) this.takeVariant({ ...variant, images: imagesOf(images.get(variant.variant_index) ?? []) });
    this.recommendation = experiment.recommendation ?? null;
    const before = this.cells;
    this.cells = new Map();
    for (const [key, one] of known) this.put(key, cellOf(one));
    // a failure that the service does not know was retried
    for (const [key, one] of before) if (!known.has(key) && !["failed", "cancelled"].includes(one.state)) this.put(key, one);
    this.ratings = new Map(ratings.map((one) => [one.sha256, one]));
    this.index.touchAll();
    Object.assign(this, { comparisons, error: "", isMissing: false, isLoaded: true });
    this.untold = this.unknownEnds();
    this.told("open");
  }

  /** Return whether the service has counted an end that is not known here: it was told before anybody listened, and the snapshot is older. */
  isBehind() {
    return this.isLoaded && this.unknownEnds() > this.untold;
  }

  unknownEnds() {
    const known = new Map();
    for (const [key, { state }] of this.cells) {
      const variant = Number(key.split(".")[0]);
      if (OVER.includes(state)) known.set(variant, (known.get(variant) ?? 0) + 1);
    }
    const missing = ({ variant_index: index, completed, failed, cancelled }) => Math.max(0, completed + failed + cancelled - (known.get(index) ?? 0));
    return [...this.variants.values()].reduce((sum, one) => sum + missing(one), 0);
  }

  moveCell(body, state, more = {}) {
    const context = body.learning_context;
    if (!context) return;
    const key = cellKey(context.variant_index, context.repeat_index);
    const known = this.cells.get(key);
    if (known && OVER.includes(known.state) && state === "running" && known.jobId === body.job_id) return; // an old event
    this.put(key, cell(state, { ...more, jobId: body.job_id }));
    this.index.touch(context.variant_index);
    this.told(`cell ${key}`);
  }

  /** Add what scorers say of a job that has ended before. */
  measure(body) {
    const context = body.learning_context;
    const key = context && cellKey(context.variant_index, context.repeat_index);
    const known = this.cells.get(key);
    if (!known) return;
    this.put(key, { ...known, metrics: { ...known.metrics, ...body.metrics } });
    this.told(`cell ${key}`);
  }

  put(key, one) {
    this.cells.set(key, one);
    this.most = Math.max(this.most, Number(key.slice(key.indexOf(".") + 1)) + 1);
  }
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
