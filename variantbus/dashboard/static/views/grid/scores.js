// By what cells are coloured, and what stands above a value: numbers that are known already, none that is computed anew.

import { askedAbout } from "../../results/media.js";
import { numberText, percent } from "../../base/text.js";
import { ratingOf } from "../../feedback/judging.js";
import { valueKey } from "../../data/values.js";

/** Return what cells can be coloured by: `[name, words]`. */
export function scoresOf(open) {
  const metrics = new Set([...open.variants.values()].flatMap((one) => Object.keys(one.metrics ?? {})));
  return [["", "nothing"], ["stars", "stars"], ["seconds", "seconds"], ...[...metrics].sort().map((name) => [`metric ${name}`, name])];
}

/** Return the score of a cell, undefined if it has none. */
export function scoreOf(open, known, colour) {
  if (!known || known.state !== "completed") return undefined;
  if (colour === "seconds") return known.seconds ?? undefined;
  if (colour !== "stars") return known.metrics?.[colour.slice("metric ".length)];
  const stars = askedAbout(known.images).map((image) => ratingOf(image.sha256)?.stars).filter(Boolean);
  return stars.length ? stars.reduce((sum, one) => sum + one, 0) / stars.length : undefined;
}

/** Return the least and the greatest score of all cells, null if there is none; stars always go from 1 to 5. */
export function rangeOf(open, colour) {
  if (!colour) return null;
  if (colour === "stars") return [1, 5];
  let [least, most] = [Infinity, -Infinity];
  for (const known of open.cells.values()) {
    const score = scoreOf(open, known, colour);
    if (score === undefined) continue;
    least = Math.min(least, score);
    most = Math.max(most, score);
  }
  return least <= most ? [least, most] : null;
}

/** Return where a score lies in a range, from 0 to 1. */
export function shareOf(score, [least, most]) {
  return most > least ? Math.min(1, Math.max(0, (score - least) / (most - least))) : 1;
}

/**
 * Return what stands above some variants: `{ mean, chance, isBest }`.
 *
 * The mean is that of what decides the experiment; the chance to be best adds up, as only one value is the best.
 */
export function factsOf(open, variants, estimates) {
  const objective = open.status?.definition.objective ?? "stars";
  const found = variants.map((one) => measured(one, objective)).filter(([, weight]) => weight > 0);
  const weight = found.reduce((sum, [, one]) => sum + one, 0);
  const mean = weight ? found.reduce((sum, [value, one]) => sum + value * one, 0) / weight : null;
  const chances = variants.map((one) => estimates.get(one.variant_index)?.p_best).filter((one) => one !== undefined && one !== null);
  const best = open.recommendation?.value;
  const isBest = best !== null && best !== undefined && variants.some((one) => valueKey(best) === valueKey(one.variant_value));
  const unit = { stars: "★ ", seconds: "" }[objective] ?? "";
  return {
    mean: mean === null ? "" : `${unit}${objective === "stars" ? mean.toFixed(1) : numberText(mean)}${objective === "seconds" ? " s" : ""}`,
    chance: chances.length ? percent(chances.reduce((sum, one) => sum + one, 0)) : "",
    isBest,
  };
}

/** Return the mean of a variant under an objective, and how much it weighs. */
function measured(variant, objective) {
  if (objective === "stars") return [variant.rating?.mean, variant.rating?.count ?? 0];
  if (objective === "seconds") return [variant.duration_mean, variant.duration_mean === null ? 0 : variant.completed];
  const value = variant.metrics?.[objective];
  return [value, value === undefined ? 0 : variant.completed];
}

/** Return the estimates of the recommendation by the index of their variant. */
export function estimatesOf(open) {
  const byValue = new Map((open.recommendation?.estimates ?? []).map((one) => [valueKey(one.value), one]));
  return new Map([...open.variants.values()].map((one) => [one.variant_index, byValue.get(valueKey(one.variant_value))]).filter(([, one]) => one));
}
