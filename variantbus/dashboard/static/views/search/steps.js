// The jobs of a search in the order in which they ended, with what each brought and the best so far. Pure.

import { differentValues, scoreOf as metricScore } from "../../experiment/scores.js";

const OVER = ["completed", "failed", "cancelled"];

/**
 * Return the jobs of a search: `{ key, variant, repeat, state, at, score, best, isBest }`, those that have ended first, in order.
 *
 * `cells` are those of the grid by key, `ratings` by hash. `best` is the best score so far, null before the first one.
 */
export function stepsOf(cells, ratings, { objective, isMinimized }) {
  const ended = [];
  const ahead = [];
  for (const [key, cell] of cells) {
    const [variant, repeat] = key.split(".").map(Number);
    const score = scoreOf(cell, ratings, objective);
    const one = { key, variant, repeat, state: cell.state, at: cell.finishedAt ?? null, score, image: cell.images?.[0] ?? null };
    (OVER.includes(cell.state) ? ended : ahead).push(one);
  }
  ended.sort((one, other) => (one.at ?? Infinity) - (other.at ?? Infinity) || one.variant - other.variant || one.repeat - other.repeat);
  let best = null;
  for (const one of ended) {
    one.isBest = one.score !== null && (best === null || (isMinimized ? one.score < best : one.score > best));
    if (one.isBest) best = one.score;
    one.best = best;
  }
  ahead.sort((one, other) => (one.state === "running" ? 0 : 1) - (other.state === "running" ? 0 : 1) || one.variant - other.variant || one.repeat - other.repeat);
  return { ended, ahead };
}

/** Return what a job brought: the mean of its stars, or its metric; null where it brought nothing yet. */
function scoreOf(cell, ratings, objective) {
  if (cell.state !== "completed" || objective === "preference") return null;
  if (objective !== "stars") return metricScore(cell, objective);
  const stars = cell.images.map((image) => ratings.get(image.sha256)?.stars).filter((one) => one !== undefined);
  return stars.length ? stars.reduce((sum, one) => sum + one, 0) / stars.length : null;
}

/** Return the variables of a search with their different values in order, `{ name, values }`; of one variable its name is given. */
export function axesOf(values, variable) {
  const isMap = values.length && values[0] !== null && typeof values[0] === "object";
  const names = isMap ? Object.keys(values[0]) : [variable];
  const part = (value, name) => (isMap ? value[name] : value);
  return names.map((name) => ({ name, part: (value) => part(value, name), values: differentValues(values.map((value) => part(value, name))) }));
}
