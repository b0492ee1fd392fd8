// The drafts of this tab, so that a reload, Back, or a look elsewhere takes nothing away that was typed.

import { parse, stringify } from "../../data/values.js";
import { newDraft } from "./draft.js";

const KEY = "new experiment";

/** Return the draft of this tab, of a new experiment or of one that is made from another; null if there is none. */
export function kept(from) {
  try {
    const found = parse(sessionStorage.getItem(keyOf(from)));
    return found && { ...newDraft(), ...found };
  } catch {
    return null;
  }
}

/** Keep a draft in this tab. */
export function keep(from, draft) {
  try {
    sessionStorage.setItem(keyOf(from), stringify(draft));
  } catch {
    // a tab without room, or one that keeps nothing, still has the form
  }
}

/** Forget a draft: it runs, or is begun anew. */
export function forget(from) {
  sessionStorage.removeItem(keyOf(from));
}

function keyOf(from) {
  return from ? `${KEY} from ${from}` : KEY;
}
