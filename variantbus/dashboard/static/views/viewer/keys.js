// The keys of the viewer: what each of them does, by name, and what it is for in the help.

import { STEPS } from "./places.js";

const NAMES = { x: "reject", u: "undo", n: "write", c: "compare", " ": "flip", 0: "whole", "+": "larger", "-": "smaller", i: "panel", s: "save", "?": "help", PageUp: "before", PageDown: "next", Escape: "leave" };

/** What the keys are for, as the help shows it. */
export const HELP = [
  ["← → ↑ ↓", "next picture; while comparing, the second one"],
  ["1–5", "stars, of two for the left one or the one that is seen"],
  ["x", "reject: one star"],
  ["u", "undo the newest stars"],
  ["n", "write a note"],
  ["c", "compare, on or off"],
  ["space", "flip between the two"],
  ["+ − 0", "zoom, whole picture"],
  ["PgUp PgDn", "other results of the job"],
  ["i", "settings and job"],
  ["s", "save the file"],
  ["Esc", "back to the grid"],
];

/** Return what a key asks for, as `[name, argument]` of an act, or null. */
export function asked(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return null;
  if (target.matches("video, audio") && /^(Arrow| )/.test(key)) return null; // it goes on or back
  if (target.closest("aside, .files, .text") && /^(Arrow(Up|Down)|Page)/.test(key)) return null; // it is scrolled
  if (key === " " && target.matches("button, summary, a")) return null; // it is pressed
  if (STEPS[key]) return ["move", STEPS[key]];
  if (/^[1-5]$/.test(key)) return ["rate", Number(key)];
  return NAMES[key] ? [NAMES[key]] : null;
}
