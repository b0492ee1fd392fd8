// The settings of a job, as the learning service makes them of a definition (learning_service/experiments/settings.py).

import { blocksOf, stringify, valueText } from "./values.js";

/** Return all settings of the job of a value and a repeat: those of the experiment, of its block, of the value, and the seed. */
export function jobSettings(definition, value, repeat) {
  const shared = { ...definition.config, ...definition.blocks?.[repeat % blocksOf(definition)]?.config };
  const parts = partsOf(definition, value);
  const own = setBy(definition, parts);
  return { ...shared, seed: seedOf(definition, repeat), ...own, ...filled(marksOf(definition), parts, { ...shared, ...own }) };
}

/** Return the names of the settings in which two jobs differ, in their order. */
export function differences(one, other) {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => (name in one) !== (name in other) || stringify(one[name]) !== stringify(other[name]));
}

/** Return the variables of a definition. */
export function knobsOf(definition) {
  return definition.variable ? [definition.variable] : (definition.variables ?? []);
}

function partsOf(definition, value) {
  return value !== null && typeof value === "object" ? value : { [knobsOf(definition)[0]?.name]: value };
}

function seedOf(definition, repeat) {
  const place = Math.floor(repeat / blocksOf(definition));
  const seed = definition.seeds?.[place] ?? BigInt(definition.seed ?? 0) + BigInt(place);
  return Number.isSafeInteger(Number(seed)) ? Number(seed) : seed;
}

/** Return what the variables set as a whole. */
function setBy(definition, parts) {
  const found = {};
  for (const knob of knobsOf(definition)) {
    if (knob.settings) Object.assign(found, knob.settings[valueText(parts[knob.name])]);
    else if (!knob.replace && !knob.fills) found[knob.name] = parts[knob.name];
  }
  return found;
}

/** Return what variables take the place of: a text in one setting, or a word in braces in all of them. */
function marksOf(definition) {
  return knobsOf(definition)
    .filter((knob) => knob.replace || knob.fills)
    .map((knob) => ({ name: knob.name, token: knob.replace || `{${knob.name}}`, setting: knob.replace ? knob.setting || knob.name : "" }));
}

/** Return the texts that have marks, with the parts in their places, all at once: no part is looked into. */
function filled(marks, parts, config) {
  const found = {};
  for (const [name, text] of Object.entries(config)) {
    if (typeof text !== "string") continue;
    const here = marks.filter((mark) => mark.setting === "" || mark.setting === name);
    const texts = new Map(here.map((mark) => [mark.token, String(parts[mark.name])]));
    for (const mark of here) if (!mark.setting) texts.set(`{${mark.token}}`, mark.token); // {{style}} is {style} itself
    if (![...texts.keys()].some((token) => text.includes(token))) continue;
    found[name] = text.replace(patternOf([...texts.keys()]), (token) => texts.get(token));
  }
  return found;
}

/** Return what finds texts, the longest first: where one begins with another, it is the longer one. */
function patternOf(tokens) {
  const longestFirst = tokens.sort((one, other) => other.length - one.length);
  return new RegExp(longestFirst.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
}
