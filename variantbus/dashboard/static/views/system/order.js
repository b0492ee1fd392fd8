// What has to change so that things run in another order. Pure: groups with priorities in, new priorities out.

const LEAST = -100;
const MOST = 100;

/**
 * Return the new priorities, `[{ group, priority }]`, with which a list runs in another order, as few as possible.
 *
 * `groups` are in the order in which they run now: by falling priority, and among equal ones as they came. `wanted` has
 * the same ones in the order in which they should run.
 */
export function newPriorities(groups, wanted) {
  const place = new Map(groups.map((group, at) => [group, at]));
  const raised = walked([...wanted].reverse(), (one, other) => place.get(one) < place.get(other), 1).reverse();
  const lowered = walked(wanted, (one, other) => place.get(one) > place.get(other), -1);
  const fits = (found) => found.every((priority) => priority >= LEAST && priority <= MOST);
  const differing = (found) => wanted.map((group, at) => ({ group, priority: found[at] })).filter(({ group, priority }) => group.priority !== priority);
  const tries = [raised, lowered].filter(fits).map(differing);
  if (!tries.length) return differing(wanted.map((_, at) => Math.max(LEAST, Math.floor(wanted.length / 2) - at)));
  return tries.reduce((least, other) => (other.length < least.length ? other : least));
}

/** Return a copy of a list in which the one at `from` stands at `to`. */
export function moved(list, from, to) {
  const found = list.filter((_, at) => at !== from);
  found.splice(to, 0, list[from]);
  return found;
}

/** Walk from one end: each keeps its priority where that is far enough, and else gets one that is a step further. */
function walked(list, hasItsPlace, step) {
  const found = [];
  for (const [at, group] of list.entries()) {
    const before = found[at - 1];
    const distance = at ? (group.priority - before) * step : 1;
    const isEqual = distance === 0 && before === list[at - 1].priority && hasItsPlace(group, list[at - 1]);
    found.push(distance > 0 || isEqual ? group.priority : before + step);
  }
  return found;
}
