// Why an answer is as it is, in lines: what may be best, what is ruled out, what a search does; as `recommend --why`.

import { numberText, percent } from "../../base/text.js";
import { valueText } from "../../data/values.js";
import { inOrder, isRuledOut, shortened } from "../../experiment/scores.js";
import { dependent, matters } from "./effects.js";

const NAMED = 12; // values in a line; more are counted
const WITHOUT = { stars: "Not rated yet", preference: "Not compared yet" };
const LONGEST = 40; // characters of a prompt

/** Return what may be the best, the likeliest first, what is ruled out, and what a search does next. */
export function reasons(made, search) {
  const ordered = inOrder(made);
  const known = ordered.filter((one) => one.p_best !== null);
  const likely = known.filter((one) => !isRuledOut(one)).sort((one, other) => other.p_best - one.p_best);
  const parts = [
    ["What matters", (made.effects ?? []).map((one) => `${one.name} ${matters(one)}`)],
    ["Depend on each other", dependent(made).map((one) => `${one.names.join(" with ")} (${percent(one.probability)})`)],
    ["May be the best", likely.map((one) => `${named(one.value)} (${percent(one.p_best)})`)],
    ["Ruled out, each with less than 5 %", known.filter(isRuledOut).map((one) => named(one.value))],
    [WITHOUT[made.objective] ?? "Never tried", ordered.filter((one) => !one.n).map((one) => named(one.value))],
    ["Better takes longer", (made.pareto ?? []).map((one) => `${named(one.value)} (${numberText(one.seconds)} s, ${numberText(one.mean)})`)],
    ["Single prompts", (made.blocks ?? []).map(underPrompt)],
  ];
  const lines = parts.filter(([, names]) => names.length).map(([what, names]) => `${what}: ${listed(names)}`);
  return search ? [...lines, `Search: ${search.spent} of ${search.budget} jobs, ${search.state}${search.reason ? `: ${search.reason}` : ""}`] : lines;
}

function underPrompt(one) {
  return `under “${shortened(one.name, LONGEST)}” ${named(one.value)}${one.probability ? ` (${percent(one.probability)})` : ""}`;
}

function named(value) {
  return shortened(valueText(value));
}

function listed(names) {
  return names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");
}
