// From the draft to the definition that the learning service takes, and what is in the way.

import { isTaken, whole } from "../../data/values.js";
import { itemsOf, numeric, rangeOf, rangeText, valueOf } from "../../data/entries.js";
import { presetsOf, skipsOf } from "./pairs.js";
import { settingsOf, variablesOf } from "./settings.js";

/** Return `{ definition, problems }`: each problem is of a field, `{ field, text }`; `isOpen` if nobody has filled it in yet. */
export function definitionOf(draft, spec) {
  const problems = [];
  const attempt = (field, make, otherwise) => {
    try {
      return make();
    } catch (error) {
      problems.push({ field, text: sentence(error.message) });
      return otherwise;
    }
  };
  const typedConfig = configOf(draft, spec, attempt);
  const known = variablesOf(spec, typedConfig);
  const axes = draft.axes.filter((axis) => axis.form !== "setting" || axis.name).map((axis) => variableOf(axis, known, attempt, problems));
  const config = { ...typedConfig };
  for (const axis of axes) if (!axis.fills && !axis.replace && !axis.settings) delete config[axis.name];
  const prompts = "prompt" in config || isVaried(axes, "prompt") ? [] : draft.prompts.filter((one) => one.trim());
  const takesPrompt = !spec || "prompt" in settingsOf(spec, typedConfig);
  if (spec?.unavailable) problems.unshift({ field: "pipeline", text: `${draft.pipeline} cannot be used now.`, isOpen: true });
  if (!axes.length) problems.push({ field: "axis 0 name", text: "Choose what varies.", isOpen: true });
  const definition = {
    ...draft.kept,
    name: draft.name.trim() || autoName(axes, takesPrompt ? prompts[0] : ""),
    pipeline: draft.pipeline,
    stage: draft.stage,
    ...(axes.length > 1 || draft.isGrid ? { variables: axes } : { variable: axes[0] }),
    jobs_per_variant: numberOf("jobs", draft.jobs, problems, { least: 1, words: "Give a number of pictures for each value, 1 or more." }),
    seed: draft.seed.trim() === "" ? 0 : numberOf("seed", draft.seed, problems, { least: 0, words: "A seed is a whole number, 0 or more." }),
    ...objectiveOf(draft, problems),
    ...searchOf(draft, problems),
    ...(draft.sample.trim() ? { sample: numberOf("sample", draft.sample, problems, { least: 1, words: "Give a number of combinations, 1 or more." }) } : {}),
    ...(draft.within.trim() && draft.objective !== "seconds" ? { within: withinOf(draft.within) } : {}),
    ...skipped(draft.skip, attempt),
    ...(draft.score?.use?.length || draft.score?.command?.length ? { score: draft.score } : {}),
    ...(draft.origin ? { origin: draft.origin } : {}),
    config: takesPrompt && prompts.length === 1 ? { ...config, prompt: promptOf(prompts[0]) } : config,
    ...(takesPrompt && prompts.length > 1 && !draft.kept.blocks ? { blocks: prompts.map((prompt) => ({ config: { prompt: promptOf(prompt) } })) } : {}),
  };
  return { definition, problems };
}

/** Return the settings of every job: those typed that the stage takes; all of them where it does not say what it takes. */
function configOf(draft, spec, attempt) {
  const isKnown = Boolean(spec && !spec.unavailable);
  const first = settingsOf(spec, {});
  const read = (names, known) => {
    const found = {};
    for (const name of names) {
      const entry = draft.config[name];
      const value = "value" in entry ? entry.value : entry.text.trim() === "" ? undefined : attempt(`config ${name}`, () => valueOf(entry.text, known[name]));
      if (value !== undefined) found[name] = value;
    }
    return found;
  };
  const all = Object.keys(draft.config);
  if (!isKnown) return read(all, {});
  const told = read(all.filter((name) => name in first), first); // a command among them, whose placeholders are settings too
  const known = settingsOf(spec, { ...told, ...Object.fromEntries(all.filter((name) => name.includes(".")).map((name) => [name, null])) });
  return { ...told, ...read(all.filter((name) => name in known && !(name in first)), known) };
}

/** Return the typed settings that this stage does not take; they are kept, and not sent. */
export function unusedOf(draft, spec) {
  if (!spec || spec.unavailable) return [];
  const known = settingsOf(spec, Object.fromEntries(Object.entries(draft.config).map(([name, entry]) => [name, entry.value ?? safely(entry.text, spec, name)])));
  return Object.entries(draft.config).filter(([name, entry]) => !(name in known) && ("value" in entry || entry.text.trim())).map(([name]) => name);
}

function safely(text, spec, name) {
  try {
    return valueOf(text, settingsOf(spec, {})[name]);
  } catch {
    return null;
  }
}

function variableOf(axis, known, attempt, problems) {
  const field = `axis ${axis.key} values`;
  const knob = axis.form === "setting" ? known[axis.name] : undefined;
  if (axis.form === "presets") {
    const { values, settings } = attempt(field, () => axis.presets.value ?? presetsOf(axis.presets.text), { values: [], settings: {} });
    if (!values.length) problems.push({ field, text: "Write what goes together, one combination a line.", isOpen: true });
    const name = axis.name.trim() || Object.keys(Object.values(settings)[0] ?? {})[0] || "preset";
    return { name, values, settings };
  }
  return { ...named(axis, problems), ...attempt(field, () => valuesOf(axis, knob, problems), {}) };
}

function named(axis, problems) {
  const text = (axis.form === "part" ? axis.part : axis.name).trim();
  if (!text && axis.form !== "setting") problems.push({ field: `axis ${axis.key} ${axis.form === "part" ? "part" : "name"}`, text: "Say which one.", isOpen: true });
  if (axis.form === "word") return { name: text.replace(/^\{|\}$/g, ""), fills: true };
  if (axis.form !== "part") return { name: text };
  if (axis.label) return { name: axis.label, replace: axis.part, ...(axis.setting ? { setting: axis.setting } : {}) };
  return { name: text, setting: "prompt", replace: axis.part };
}

function valuesOf(axis, knob, problems) {
  if (axis.mode === "all") return { values: "all" };
  const typedRange = axis.mode === "list" && !["str", "bool"].includes(knob?.kind) ? rangeOf(axis.typed) : null;
  if (axis.mode === "range" || (typedRange && !axis.items.length)) {
    const range = typedRange ?? axis.range;
    if (Object.values(range).every((part) => part === "")) problems.push({ field: `axis ${axis.key} values`, text: "Say from where to where, and in which steps.", isOpen: true });
    else rangeText(range);
    return range;
  }
  if (axis.typed.trim() === "all" && !axis.items.length && knob?.choices?.length) return { values: "all" };
  const values = [...axis.items, ...typedItems(axis.typed, knob)];
  if (!values.length) problems.push({ field: `axis ${axis.key} values`, text: axis.name ? `Give values of ${axis.name}.` : "Give values.", isOpen: true });
  return { values };
}

/** What is typed above choices is a search until it is the name of one. */
function typedItems(typed, knob) {
  const found = itemsOf(typed, knob);
  const offered = knob?.choices?.length ? new Set([...knob.choices, ...(knob.also ?? [])]) : null;
  return !offered || found.every((one) => offered.has(one)) ? found : [];
}

/** Return a range as it was typed, as numbers where these are as exact. */
export function rangeTyped(range, part, text) {
  return { ...range, [part]: text.trim() === "" ? "" : numeric(text) };
}

function objectiveOf(draft, problems) {
  const isMetric = draft.objective === "metric";
  if (isMetric && !draft.metric.trim()) problems.push({ field: "metric", text: "Say which number decides.", isOpen: true });
  const isOfPeople = ["stars", "preference"].includes(draft.objective);
  const goal = draft.goal && !(isOfPeople && draft.goal === "minimize") ? { goal: draft.goal } : {};
  return { objective: isMetric ? draft.metric.trim() || "metric" : draft.objective, ...goal };
}

function searchOf(draft, problems) {
  if (!draft.adaptive) return {};
  const stop = draft.stop.trim();
  const share = Number(stop.replace(/\s*%$/, "")) / (stop.endsWith("%") ? 100 : 1);
  if (stop && !(share > 0.5 && share < 1)) problems.push({ field: "stop", text: "Give a probability between 50 % and 100 %, such as 90 %." });
  return {
    mode: "adaptive",
    budget: numberOf("budget", draft.budget, problems, { least: 1, words: "Say how many jobs it may have in all." }),
    ...(stop ? { stop_p_best: share } : {}),
  };
}

function skipped(skip, attempt) {
  const found = attempt("skip", () => skip.value ?? skipsOf(skip.text), []);
  return found.length ? { skip: found } : {};
}

function withinOf(text) {
  return /^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}%` : text;
}

function numberOf(field, text, problems, { least, words }) {
  const number = whole(text.trim());
  const isWhole = /^\d+$/.test(text.trim()) && number >= least;
  if (isWhole && isTaken(number)) return number;
  problems.push({ field, text: isWhole ? "This number is too large." : words });
  return least;
}

function promptOf(text) {
  return text.trim() === '""' ? "" : text;
}

function isVaried(axes, name) {
  return axes.some((axis) => axis.name === name && !axis.replace && !axis.fills && !axis.settings);
}

/** Return a name for an experiment that nobody has named: what varies, under which prompt. */
function autoName(axes, prompt = "") {
  const names = axes.map((axis) => axis.name).filter(Boolean).join(" × ") || "Experiment";
  const text = prompt.trim().replace(/\s+/g, " ");
  return text ? `${names}: ${text.length > 60 ? `${text.slice(0, 59)}…` : text}` : names;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;
}
