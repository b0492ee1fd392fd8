// What the viewer knows of one cell: its variant, its results, its settings, and the words for them.

import { jobSettings } from "../../data/settings.js";
import { knownOf, stateText } from "../../data/known.js";
import { cellKey, repeats, state } from "../../data/state.js";
import { conditionText, valueKey, valueText } from "../../data/values.js";
import { askedAbout } from "../../results/media.js";

/** Return what is known of a cell, with the result at `part` of those that its job gave; null where there is none such. */
export function subjectOf(key, part = 0) {
  const [index, repeat] = key.split(".").map(Number);
  const variant = state.open?.variants.get(index);
  const definition = state.open?.status?.definition;
  if (!variant || !definition) return null;
  const cell = state.open.cells.get(key);
  const results = askedAbout(cell?.images ?? []);
  const image = results[part % results.length] ?? null;
  return {
    key,
    variant,
    repeat,
    cell,
    definition,
    results,
    image,
    part: results.length ? part % results.length : 0,
    files: (cell?.images ?? []).filter((one) => !results.includes(one)),
    name: nameOf(variant),
    condition: conditionText(definition, repeat),
    get settings() {
      return settingsOf(definition, variant.variant_value, repeat, image);
    },
    failedOfValue: variant.failed,
  };
}

/** Return what stands where no picture is. */
export function wordOf({ cell, files, variant, repeat }) {
  const known = knownOf(state.open, { variant, repeat });
  return cell?.error ?? (known.state === "completed" ? (files.length ? "" : "no result") : stateText(known.state));
}

/** Return the cells that are the best ones to compare with, the best one first: the recommended value under the same seed. */
export function rivalsOf({ variant, repeat, key }) {
  const estimates = [...(state.open.recommendation?.estimates ?? [])].sort((one, other) => (other.p_best ?? 0) - (one.p_best ?? 0));
  const recommended = state.open.recommendation?.value ?? null;
  const values = [recommended, ...estimates.map((one) => one.value)].filter((one) => one !== null).map(valueKey);
  const byValue = new Map([...state.open.variants.values()].map((one) => [valueKey(one.variant_value), one]));
  const found = values.map((one) => byValue.get(one)).filter((one) => one && one.variant_index !== variant.variant_index);
  return found.map((one) => `${one.variant_index}.${repeat}`).filter((one) => one !== key && state.open.cells.get(one)?.images.length);
}

/** Return all values by all seeds, as a grid shows them at first. */
export function whole() {
  const across = [...(state.open?.variants.values() ?? [])].sort((one, other) => one.variant_index - other.variant_index);
  const down = repeats();
  const at = (column, row) => ({ variant: across[column], repeat: down[row], key: cellKey(across[column].variant_index, down[row]) });
  const find = (key) => {
    const [index, repeat] = key.split(".").map(Number);
    const [column, row] = [across.findIndex((one) => one.variant_index === index), down.indexOf(repeat)];
    return column < 0 || row < 0 ? null : { column, row };
  };
  return { across, down, at, find };
}

/** Return the name of a variant: of several variables each value has its name before it. */
function nameOf({ variable_under_test: variable, variant_value: value }) {
  return value !== null && typeof value === "object" ? valueText(value) : `${variable} ${valueText(value)}`;
}

/** Of pictures that were made elsewhere each has its own seed, or none that is known. */
function settingsOf(definition, value, repeat, image) {
  const settings = jobSettings(definition, value, repeat);
  if (definition.paired !== false) return settings;
  const { seed: _, ...others } = settings;
  return image?.seed === undefined || image.seed === null ? others : { ...others, seed: image.seed };
}
