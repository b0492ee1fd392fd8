// Archiving and deleting an experiment; to delete asks first.

import { confirm } from "../base/dialog.js";
import { complain, say } from "../base/toast.js";
import { of, post } from "../data/api.js";
import { hasEnded } from "../data/known.js";

/** Put an experiment into the archive, or take it out again. */
export async function archive(id, isArchived) {
  await change(id, isArchived ? "unarchive" : "archive", isArchived ? "taken out of the archive" : "archived: the list shows it under Archived");
}

/** Delete an experiment for good once the person has said so; `results` is how many it has, null if that is not known. */
export async function deleteForGood(status, results) {
  const end = status.search?.state === "searching" ? "Stop its search" : "Cancel it"; // as their buttons say
  if (!hasEnded(status)) return complain(`It has not ended. ${end} first, or wait for its end.`);
  const count = results === null ? "results" : results === 1 ? "one result" : `${results} results`;
  const lost = `Its jobs, ratings and ${count} are deleted for good; only results that another experiment has made, too, stay.`;
  const text = `${lost} An export can be imported again, without the files.`;
  if (!(await confirm(`Delete ${status.experiment_name}?`, text, { yes: "Delete for good" }))) return;
  await change(status.experiment_id, "delete"); // all pages are told by an event
}

/** Return how many results the variants of an experiment have; what several jobs made counts once. */
export function resultsOf(variants) {
  return new Set([...variants].flatMap((one) => one.images.map((image) => image.sha256))).size;
}

async function change(id, what, said) {
  try {
    await post(of(id, what));
    if (said) say(said);
  } catch (error) {
    complain(error.message);
  }
}

/** Put several experiments into the archive, or take them out again. */
export async function archiveAll(ids, isArchived) {
  const done = await changeAll(ids, isArchived ? "unarchive" : "archive");
  if (done) say(`${countText(done)} ${isArchived ? "taken out of the archive" : "archived: the list shows them under Archived"}`);
}

/** Delete several experiments for good once the person has said so. */
export async function deleteAll(ids) {
  const text = "Their jobs, ratings and results are deleted for good; only results that another experiment has made, too, stay.";
  if (!(await confirm(`Delete ${countText(ids.length)}?`, text, { yes: "Delete for good" }))) return;
  const done = await changeAll(ids, "delete");
  if (done) say(`${countText(done)} deleted`);
}

/** Change one after the other; return how many were changed, and tell why the first one was not that was refused. */
async function changeAll(ids, what) {
  const refused = [];
  for (const id of ids) await post(of(id, what)).catch((error) => refused.push(error.message));
  if (refused.length) complain(refused.length === 1 ? refused[0] : `${refused.length} are left as they were; of the first: ${refused[0]}`);
  return ids.length - refused.length;
}

function countText(count) {
  return count === 1 ? "one experiment" : `${count} experiments`;
}
