// What the runner knows of a job: its settings as they were sent, its times, its attempts. Asked for once.

import { get } from "../../data/api.js";

const KEPT = 200;
const PAUSE = 200; // ms, so that nothing is asked about pictures that are only passed
const AGAIN = 2000; // ms until it may answer after all
const known = new Map(); // job and state -> { job, runner } or { error }
let wanted = ""; // what is asked for next

/** Return what is known of a job in a state, undefined at first; `told` is called once it is there. */
export function jobOf(jobId, jobState, told) {
  const key = `${jobId} ${jobState}`;
  if (!known.has(key) && wanted !== key) {
    wanted = key;
    setTimeout(() => wanted === key && ask(jobId, key, told), PAUSE);
  }
  return known.get(key);
}

async function ask(jobId, key, told) {
  if (known.size > KEPT) known.clear();
  try {
    known.set(key, await get(`/api/jobs/${encodeURIComponent(jobId)}`));
  } catch (error) {
    known.set(key, { error: error.message });
    if (error.status !== 404) setTimeout(() => known.delete(key), AGAIN);
  }
  if (wanted === key) wanted = "";
  told();
}
