// The value that leads an experiment, in a few words.

import { percent } from "../base/text.js";
import { valueText } from "../data/values.js";
import { variableText } from "./facts.js";

/** Return "cfg_scale 1.5", or "cfg_scale 1, steps 8" where several things vary. */
export function leaderText(definition, { value }) {
  const isNamed = value !== null && typeof value === "object";
  return isNamed ? valueText(value) : `${variableText(definition)} ${valueText(value)}`;
}

/** Return how likely it is the best, "" where nobody has said. */
export function chanceText({ p_best: chance }) {
  return percent(chance);
}
