// What is known of a cell: of its job, or why there is none; and whether more is to come.

import { cellKey } from "./state.js";
import { blocksOf } from "./values.js";

const NOTHING = { images: [], warnings: [], progress: 0, metrics: {} };
const ENDED = new Set(["completed", "partial", "failed", "cancelled"]);

/** Return whether no job of an experiment is still to come. */
export function hasEnded({ status }) {
  return ENDED.has(status);
}

/** Return the state of a cell in words. */
export function stateText(state) {
  return state === "unrun" ? "not run" : state;
}

/** Return what is known of the job of a place; `isExtra` if the plan does not have it. */
export function knownOf(open, { variant, repeat }) {
  const known = open.cells.get(cellKey(variant.variant_index, repeat));
  if (known) return isExtra(open.status?.definition, repeat) ? { ...known, isExtra: true } : known;
  const { planned } = open.variants.get(variant.variant_index) ?? variant;
  return { ...NOTHING, state: wordOf(open.status, repeat < planned) };
}

/** Return the state of a cell without a job: a search plans only what it wants to know, and what has ended plans nothing. */
function wordOf(status, isPlanned) {
  if (isPlanned || !status) return status && hasEnded(status) ? "unrun" : "planned";
  return status.definition.mode === "adaptive" ? "untried" : "unrun";
}

function isExtra(definition, repeat) {
  return Boolean(definition) && definition.mode !== "adaptive" && repeat >= (definition.jobs_per_variant ?? 1) * blocksOf(definition);
}
