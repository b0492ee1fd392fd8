// What differs between experiments: their settings side by side, and which of them can stand on one scale. No page.

import { allSettings, variableText } from "../../experiment/facts.js";
import { areNumbers, differentValues, metricOf } from "../../experiment/scores.js";

/** Return the settings of several definitions as rows `{ name, texts, isSame }`; what one does not have is "". */
export function settingsOf(definitions) {
  const maps = definitions.map((one) => new Map(allSettings(one)));
  const names = [...new Set(maps.flatMap((one) => [...one.keys()]))];
  return names.map((name) => {
    const texts = maps.map((one) => one.get(name) ?? "");
    return { name, texts, isSame: texts.every((text) => text === texts[0]) };
  });
}

/** Return experiments in groups that vary the same and are decided by the same, with their places: each a list of places. */
export function groupsOf(experiments) {
  const groups = new Map();
  for (const [place, { definition, recommendation }] of experiments.entries()) {
    if (!recommendation?.estimates.length) continue;
    const key = JSON.stringify([variableText(definition), recommendation.objective]);
    groups.set(key, [...(groups.get(key) ?? []), place]);
  }
  return [...groups.values()];
}

/** Return the values of several answers, each once: numbers by size, all else in the order of the plans. */
export function valuesOf(answers) {
  const estimates = answers.flatMap((made) => made.estimates);
  return { areNumbers: areNumbers(estimates), values: differentValues(estimates.map((one) => one.value)) };
}

/** Return what decides all of some answers, as its name; null if different things do. */
export function commonObjective(answers) {
  const [first, ...others] = answers;
  return first && others.every((made) => made.objective === first.objective) ? metricOf(first.objective) : null;
}
