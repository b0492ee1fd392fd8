// Cancelling what an experiment has left to do; it asks first.

import { confirm } from "../base/dialog.js";
import { complain, say } from "../base/toast.js";
import { of, post } from "../data/api.js";
import { openJobs } from "./facts.js";

/** Return whether there is something to cancel: jobs, or a search that may plan some, such as one that waits for ratings. */
export function canCancel(status) {
  return openJobs(status) > 0 || isSearching(status);
}

/** Cancel the jobs that are left, and the search, once the person has said so. */
export async function cancel(status) {
  const left = openJobs(status);
  const jobs = left === 1 ? "1 job" : `${left} jobs`;
  const [what, text, no] = isSearching(status)
    ? ["the search", `${left ? `Its ${jobs} that run or wait are cancelled with it. ` : ""}What is done stays. It plans no more jobs, and cannot be started again.`, "Let it go on"]
    : [jobs, "What is done stays. Jobs that run are stopped, and those that wait are not made; “Extend” plans new ones later.", "Let them run"];
  if (!(await confirm(`Cancel ${what}?`, text, { yes: `Cancel ${what}`, no }))) return;
  try {
    await post(of(status.experiment_id, "cancel"));
    say(`${what} cancelled`);
  } catch (error) {
    complain(error.message);
  }
}

function isSearching({ search }) {
  return search?.state === "searching";
}
