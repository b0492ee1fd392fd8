// Keeps the state current: a snapshot once the feed is there, events from then on, and the snapshot again after a gap.

import { allow, get, of } from "./api.js";
import { connectFeed } from "./connection.js";
import { OpenExperiment } from "./open.js";
import { notify, state, takeComparison, takeRating } from "./state.js";
import { parse } from "./values.js";

const AGAIN = 2000; // ms until a snapshot that failed is asked for again
const LONGEST = 30000; // where the experiment is not there
const REJECTED = 50;
const LATE = 2000; // ms by which an end may be told here after the learning service has counted it
const EVERYBODY = new Set(["experiment.status", "experiment.deleted", "event.rejected"]);
let due = { list: true, open: true }; // snapshots to load
let waiting = null; // events that arrive while a snapshot is loaded
let stream = null; // of which the snapshots are
let isFollowing = false; // the feed carries the events of the open experiment
let pause = AGAIN;
let timer = 0;
let looking = 0; // a timer

const feed = connectFeed({ live, away, system, event, reload });

/** Show an experiment, or none. */
export function look(id) {
  state.open = id ? new OpenExperiment(id, notify) : null;
  isFollowing = false;
  pause = AGAIN;
  due.open = Boolean(id);
  feed.look(id);
}

/** The feed carries all that this page shows. A snapshot that is loaded from now on misses nothing. */
function live(now) {
  allow(now.token);
  isFollowing = true;
  state.isConnected = true;
  notify("connection");
  if (now.stream !== stream) due = { list: true, open: true };
  stream = now.stream;
  load();
}

function away() {
  isFollowing = false;
  stream = null;
  state.isConnected = false;
  notify("connection");
}

/** The feed has a gap. */
function reload() {
  due = { list: true, open: true };
  load();
}

function system(text) {
  const were = new Map(state.system.map((one) => [one.service, one.answers]));
  state.system = parse(text);
  notify("system");
  // a process that is back may have events that it had not sent
  if (state.system.some((one) => one.answers && were.get(one.service) === false)) reload();
}

function event(text) {
  const told = parse(text);
  if (waiting) waiting.push(told);
  else take(told);
}

/** Load the snapshots that are due, one after another, as long as the feed is there. */
async function load() {
  clearTimeout(timer);
  timer = 0;
  if (waiting || !isFollowing || !(due.list || due.open)) return;
  const now = due;
  const open = state.open;
  due = { list: false, open: false };
  waiting = [];
  try {
    await Promise.all([now.list && state.list.load(), now.open && open && snapshot(open)]);
    Object.assign(state, { isLoaded: true, error: "" });
    pause = AGAIN;
    notify("connection");
  } catch (error) {
    failed(error, now, open);
  } finally {
    const came = waiting;
    waiting = null;
    came.forEach(take);
  }
  if (!timer) load(); // what has become due meanwhile
}

async function snapshot(open) {
  open.takeSnapshot(await get(of(open.id, "snapshot")));
}

function failed(error, was, open) {
  const isGone = error.status === 404;
  if (isGone && open === state.open && open?.status) return lose(open); // it was deleted while this page did not listen
  if (open) Object.assign(open, { error: error.message, isMissing: isGone });
  if (!isGone) state.error = error.message;
  due = { list: due.list || was.list, open: due.open || was.open };
  timer = setTimeout(load, pause);
  pause = isGone ? Math.min(LONGEST, 2 * pause) : AGAIN;
  notify("open");
  notify("connection");
}

/** Load the snapshot again if an end stays unknown: the runner told of it before this page listened, and the learning service knew of it later. */
function lookForEnds() {
  looking ||= setTimeout(() => {
    looking = 0;
    if (!state.open?.isBehind()) return;
    due.open = true;
    load();
  }, LATE);
}

/** The open experiment is no more. */
function lose(open) {
  open.isDeleted = true;
  notify("deleted");
}

const TAKERS = {
  "experiment.status": (body) => {
    state.list.take(body);
    if (state.open?.id === body.experiment_id) state.open.takeStatus(body);
  },
  "experiment.deleted": (body) => {
    state.list.drop(body.experiment_id);
    if (state.open?.id === body.experiment_id) lose(state.open);
  },
  "variant.status": (body) => {
    state.open.takeVariant(body);
    lookForEnds();
  },
  "job.queued": (body) => state.open.moveCell(body, "queued"),
  "job.started": (body) => state.open.moveCell(body, "running"),
  "job.progress": (body) => state.open.moveCell(body, "running", { progress: body.fraction, preview: body.preview ?? null }),
  "job.completed": (body) => {
    const result = body.result;
    const ended = result.success ? "completed" : result.cancelled ? "cancelled" : "failed";
    state.open.moveCell(body, ended, {
      images: result.images,
      error: result.error?.message ?? null,
      metrics: result.metrics,
      seconds: result.untimed ? null : (result.seconds ?? body.finished_at - body.started_at),
      warnings: result.warnings,
      reused: Boolean(result.reused_from),
      finishedAt: body.finished_at,
    });
  },
  "job.scored": (body) => state.open.measure(body),
  "image.rated": takeRating,
  "images.compared": takeComparison,
  "recommendation.updated": (body) => {
    state.open.recommendation = body;
    notify("recommendation");
  },
  "event.rejected": (body) => {
    state.rejected = [{ ...body, at: Date.now() }, ...state.rejected].slice(0, REJECTED);
    notify("rejected");
  },
};

function take({ body }) {
  const experiment = body.experiment_id ?? body.learning_context?.experiment_id;
  if (!EVERYBODY.has(body.type) && experiment !== state.open?.id) return; // of what was shown before
  TAKERS[body.type]?.(body);
}
