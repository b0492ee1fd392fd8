// The draft of an experiment: what stands in the form. A value that came with a definition is kept as it is until somebody
// changes it, as `{ value }`; what was typed is `{ text }`. So an experiment goes into the form and comes out the same.

import { knobsOf } from "../../data/settings.js";
import { presetsText, skipsText } from "./pairs.js";

export const AXES = 6; // as many as an experiment may have
const PROMPT = "a blue star"; // of the built-in pipeline, which knows coloured shapes
const OF_PEOPLE = ["stars", "preference", "seconds"]; // objectives that are no metrics
const FIELDS = new Set([
  "name", "pipeline", "stage", "variable", "variables", "config", "jobs_per_variant", "seed", "objective", "goal", "within",
  "mode", "budget", "stop_p_best", "sample", "skip", "score", "origin",
]);

/** Return an axis without values. */
export function newAxis(key, name = "") {
  return { key, form: "setting", name, part: "", mode: "list", items: [], typed: "", range: { start: "", stop: "", step: "" }, presets: { text: "" } };
}

/** Return the draft of a form that nobody has touched. */
export function newDraft(pipeline = "embedded", stage = "txt2img") {
  return {
    name: "", pipeline, stage, from: null, origin: "",
    prompts: [pipeline === "embedded" ? PROMPT : ""], axes: [newAxis(0, "cfg_scale")], config: {},
    jobs: "3", seed: "1234", objective: "stars", metric: "", goal: "", within: "", adaptive: false, budget: "40", stop: "",
    sample: "", skip: { text: "" }, score: null, kept: {}, told: [], isMoreOpen: false,
  };
}

/** Return the draft in which a definition stands; what the form has no field for is in `kept`. */
export function draftOf(definition, from = null) {
  const draft = { ...newDraft(definition.pipeline, definition.stage ?? "txt2img"), from };
  draft.pipeline = definition.pipeline ?? "embedded";
  draft.kept = Object.fromEntries(Object.entries(definition).filter(([name]) => !FIELDS.has(name)));
  takeAdopted(draft, definition);
  const { prompts, config } = promptsOf(draft, definition.config ?? {});
  const knobs = knobsOf(definition);
  const objective = definition.objective ?? "stars";
  return Object.assign(draft, {
    name: definition.name ?? "",
    origin: from ? `clone of ${from}` : definition.origin ?? "",
    prompts,
    config: Object.fromEntries(Object.entries(config).map(([name, value]) => [name, { value }])),
    axes: knobs.length ? knobs.map(axisOf) : [newAxis(0)],
    isGrid: Boolean(definition.variables?.length),
    jobs: String(definition.jobs_per_variant ?? 1),
    seed: String(draft.adopted ?? definition.seed ?? 0),
    objective: OF_PEOPLE.includes(objective) ? objective : "metric",
    metric: OF_PEOPLE.includes(objective) ? "" : objective,
    goal: definition.goal ?? "",
    within: definition.within ?? "",
    ...searchOf(definition, draft),
    sample: definition.sample === undefined || definition.sample === null ? "" : String(definition.sample),
    skip: skipOf(definition.skip ?? []),
    score: definition.score ?? null,
  });
}

/** Pictures that were made elsewhere have seeds of their own; new ones are made with seeds in a row. */
function takeAdopted(draft, definition) {
  if (!definition.seeds?.length && definition.paired !== false) return;
  const text = "The pictures of that experiment were made elsewhere; this makes new ones, with the same seeds under each value.";
  draft.told = [...draft.told, text];
  if (definition.seeds?.length) draft.adopted = definition.seeds[0];
  delete draft.kept.seeds;
  delete draft.kept.paired;
}

/** What ends a search is a field only where there is a search. */
function searchOf({ mode, budget, stop_p_best: stop }, draft) {
  if (mode === "adaptive") return { adaptive: true, budget: String(budget ?? ""), stop: String(stop ?? "") };
  Object.assign(draft.kept, budget === undefined ? {} : { budget }, stop === undefined ? {} : { stop_p_best: stop });
  return { adaptive: false };
}

/** Blocks that are nothing but prompts are prompts of the form. */
function promptsOf(draft, config) {
  const blocks = draft.kept.blocks ?? [];
  const isPrompts = blocks.length > 1 && blocks.every((one) => !one.name && Object.keys(one.config ?? {}).join() === "prompt" && isTypeable(one.config.prompt));
  if (isPrompts && !("prompt" in config)) {
    delete draft.kept.blocks;
    return { prompts: blocks.map((one) => one.config.prompt), config };
  }
  const { prompt, ...rest } = config;
  return isTypeable(prompt) ? { prompts: [prompt], config: rest } : { prompts: [""], config };
}

/** Return whether a prompt can stand in its field: an empty field is none. */
function isTypeable(prompt) {
  return typeof prompt === "string" && prompt.trim() !== "" && prompt.trim() !== '""';
}

function axisOf(knob, key) {
  const { name, values, start, stop, step, settings, replace, setting, fills } = knob;
  const axis = newAxis(key, name);
  if (settings && Object.keys(settings).length) {
    const text = presetsText({ values, settings });
    return { ...axis, form: "presets", presets: text === null ? { value: { values, settings } } : { text, value: { values, settings } } };
  }
  if (replace) Object.assign(axis, { form: "part", part: replace, setting: setting ?? "", label: name });
  else if (fills) axis.form = "word";
  else if (name.includes(".")) axis.form = "path";
  if (values === "all") return { ...axis, mode: "all" };
  if (values === undefined || values === null) return { ...axis, mode: "range", range: { start, stop, step } };
  return { ...axis, items: values };
}

function skipOf(skip) {
  const text = skipsText(skip);
  return text === null ? { value: skip } : { text, value: skip };
}

/** Return a draft for another stage: what was typed stays, and a variable that this stage does not have is another one. */
export function moved(draft, { pipeline, stage }, variables) {
  if (!variables) return { ...draft, pipeline, stage }; // which it takes is not known now
  const names = Object.keys(variables);
  const hasNone = ({ mode, items, typed, range }) => mode !== "all" && !items.length && !typed && !Object.values(range).some(Boolean);
  const other = ({ name, ...axis }) => (names.includes(name) ? name : (names[0] ?? (hasNone(axis) ? "" : name))); // what has values stays
  const isOther = (axis, place) => axis.form === "setting" && (axis.name !== "" || place === 0);
  const axes = draft.axes.map((axis, place) => (isOther(axis, place) ? { ...axis, name: other(axis) } : axis));
  const seen = new Set();
  const different = axes.map((axis) => {
    const isTwice = axis.form === "setting" && axis.name && seen.has(axis.name);
    seen.add(axis.name);
    return isTwice ? { ...axis, name: names.find((name) => !seen.has(name)) ?? "" } : axis;
  });
  return { ...draft, pipeline, stage, axes: different };
}

/** Return the draft with the settings of a picture: its prompt, its seed, and what the stage takes; the rest is named. */
export function withSettings(draft, settings, known) {
  const { prompt, seed, size, ...rest } = settings;
  const [width, height] = String(size ?? "").split("x").map(Number);
  const found = { ...(width && height ? { width, height } : {}), ...rest };
  const taken = Object.entries(found).filter(([name]) => name in known);
  const left = Object.keys(found).filter((name) => !(name in known));
  return {
    ...draft,
    prompts: isTypeable(prompt) ? [prompt] : draft.prompts,
    seed: ["number", "bigint"].includes(typeof seed) && seed >= 0 ? String(seed) : draft.seed,
    config: { ...draft.config, ...Object.fromEntries(taken.map(([name, value]) => [name, { value }])) },
    told: left.length ? [`Also in the picture, and no setting here: ${left.join(", ")}.`] : [],
  };
}

/** Return a name that no experiment has: `name`, else `name 2`, `name 3` … */
export function freeName(name, taken) {
  const names = new Set(taken);
  const [, stem, number] = name.match(/^(.*?)(?: (\d{1,6}))?$/s);
  let found = name;
  for (let count = Number(number ?? 1) + 1; names.has(found); count += 1) found = `${stem} ${count}`;
  return found;
}
