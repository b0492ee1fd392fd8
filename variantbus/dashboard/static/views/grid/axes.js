// What stands on the two axes of the grid: values and seeds, or the values of two variables. No element, no request.

import { askedAbout } from "../../results/media.js";
import { ratingOf } from "../../feedback/judging.js";
import { cellKey } from "../../data/state.js";
import { valueKey } from "../../data/values.js";
import { ROW, planeOf } from "./planes.js";

const TESTS = {
  failed: (one) => one.failed > 0,
  warned: (one) => (one.warned ?? 0) > 0,
  unrated: (one) => askedAbout(one.images).some((image) => !ratingOf(image.sha256)),
};

/**
 * Return the axes of an open experiment: `{ across, down, plane, names, shared, hidden, key, at, find }`.
 *
 * An entry of an axis has a `kind` ("value", "seed" or "part" of a value), the `ids` under which it is hidden, the first
 * of which is also the one under which it is moved, and what it stands for: `variant`, `parts`, `repeat`. `at(column,
 * row)` returns what a cell shows, `find(key)` where a cell is. `names` are the variables that differ among the values,
 * `shared` what all of them have. Two arrangements with the same `key` have the same cells at the same places.
 */
export function arrange(open, settings, repeats) {
  const all = [...open.variants.values()].sort((one, other) => one.variant_index - other.variant_index);
  const variants = chosen(open, settings, all);
  const isGrid = typeof all[0]?.variant_value === "object";
  const canPlane = isGrid && ["plan", "own"].includes(settings.sort) && !settings.filter;
  const plane = canPlane ? planeOf(all.map((one) => one.variant_value), settings) : null;
  const [values, seeds, hidden] = plane && plane.across !== ROW ? onPlane(plane, repeats, settings) : inRow(variants, repeats, settings);
  const [across, down] = settings.isTurned ? [seeds, values] : [values, seeds];
  const key = [settings.isTurned, all.length, ...[across, down].map((axis) => axis.map((one) => one.ids.join(" ")).join("\n"))].join("\n\n");
  return { across, down, plane, hidden, key, ...shares(isGrid, values), ...places(open, all, plane, across, down) };
}

function inRow(variants, repeats, settings) {
  const values = variants.map((variant) => ({ kind: "value", group: "value", ids: [`value ${valueKey(variant.variant_value)}`], variant }));
  return shownOf([values, seedsOf(repeats)], settings);
}

function onPlane(plane, repeats, settings) {
  const [first, second] = [plane.across, plane.down].map((name) =>
    plane.parts.get(name).map((value) => ({ kind: "part", group: `part ${name}`, ids: [`part ${name} ${valueKey(value)}`], parts: { [name]: value } })),
  );
  const [across, down, few] = shownOf([first, second], settings);
  const [seeds, , fewer] = shownOf([seedsOf(repeats), []], settings);
  const rows = down.flatMap((one) => seeds.map((seed) => ({ ...one, repeat: seed.repeat, ids: [...one.ids, ...seed.ids] })));
  return [across, rows, few + fewer];
}

function seedsOf(repeats) {
  return repeats.map((repeat) => ({ kind: "seed", group: "seed", ids: [`seed ${repeat}`], repeat, parts: {} }));
}

/** Return the entries that are not hidden, in a person's own order if there is one, and how many are hidden. */
function shownOf(axes, settings) {
  const hidden = new Set(settings.hidden);
  const shown = axes.map((axis) => {
    const left = axis.filter((one) => !one.ids.some((id) => hidden.has(id)));
    const order = settings.sort === "own" && settings.order[axis[0]?.group];
    if (!order) return left;
    const rank = new Map(order.map((id, at) => [id, at]));
    return left.toSorted((one, other) => (rank.get(one.ids[0]) ?? order.length) - (rank.get(other.ids[0]) ?? order.length));
  });
  return [...shown, axes.flat().length - shown.flat().length];
}

function chosen(open, { sort, filter }, all) {
  const variants = filter ? all.filter((one) => TESTS[filter](one)) : all;
  if (sort === "fast") return variants.toSorted((one, other) => (one.duration_mean ?? Infinity) - (other.duration_mean ?? Infinity));
  if (sort !== "best") return variants;
  const estimates = new Map((open.recommendation?.estimates ?? []).map((one) => [valueKey(one.value), one.p_best]));
  const ranked = variants.map((one) => [estimates.get(valueKey(one.variant_value)) ?? one.rating?.mean ?? -1, one]);
  return ranked.toSorted(([one], [other]) => other - one).map(([, variant]) => variant);
}

/** Return which variables differ among the values in a row, and what all of those have: that is told once. */
function shares(isGrid, values) {
  if (!isGrid || values[0]?.kind !== "value") return { names: [], shared: {} };
  const [first, ...others] = values.map((one) => one.variant.variant_value);
  const isShared = (name) => others.length && others.every((one) => valueKey(one[name]) === valueKey(first[name]));
  const names = Object.keys(first);
  return {
    names: names.filter((name) => !isShared(name)),
    shared: Object.fromEntries(names.filter(isShared).map((name) => [name, first[name]])),
  };
}

/** Return the functions between places and cells. Of a grid not every point is planned: such a place has no variant. */
function places(open, all, plane, across, down) {
  const byValue = new Map(all.map((one) => [valueKey(one.variant_value), one.variant_index]));
  const variantAt = (one, other) => {
    const index = (one.variant ?? other.variant)?.variant_index ?? byValue.get(valueKey({ ...plane?.fixed, ...one.parts, ...other.parts }));
    return open.variants.get(index);
  };
  let found = null; // made when it is asked for the first time
  function at(column, row) {
    const [one, other] = [across[column], down[row]];
    if (!one || !other) return { variant: undefined, key: "" };
    const variant = variantAt(one, other);
    const repeat = one.repeat ?? other.repeat;
    return { variant, repeat, key: variant ? cellKey(variant.variant_index, repeat) : `none ${one.ids[0]} ${other.ids.join(" ")}` };
  }
  function find(key) {
    found ??= new Map(down.flatMap((_, row) => across.map((__, column) => [at(column, row).key, { column, row }])));
    return found.get(key) ?? null;
  }
  return { at, find };
}

/** Return the settings after an entry of an axis was moved to where another one stands. */
export function moveTo(settings, axis, from, to) {
  const ids = idsOf(axis);
  return moved(settings, axis[from], ids, ids.indexOf(axis[to].ids[0]));
}

/** Return the settings after an entry of an axis was moved by one place, back (-1) or on (1). */
export function moveBy(settings, axis, from, by) {
  const ids = idsOf(axis);
  return moved(settings, axis[from], ids, ids.indexOf(axis[from].ids[0]) + by);
}

function idsOf(axis) {
  return [...new Set(axis.map((one) => one.ids[0]))];
}

function moved(settings, entry, ids, target) {
  const at = ids.indexOf(entry.ids[0]);
  if (at === target || target < 0 || target >= ids.length) return settings;
  ids.splice(target, 0, ...ids.splice(at, 1));
  const isSorted = !["plan", "own"].includes(settings.sort) && entry.kind === "value";
  const others = settings.sort === "own" ? settings.order : {};
  // what was sorted stays in a row
  return { ...settings, sort: "own", order: { ...others, [entry.group]: ids }, ...(isSorted && { across: ROW }) };
}
