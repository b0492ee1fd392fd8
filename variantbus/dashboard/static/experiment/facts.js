// What was run, and how far it is, in words: from a definition and a status, which are all that is looked at.

import { durationText, isolated } from "../base/text.js";
import { hasEnded } from "../data/known.js";
import { knobsOf } from "../data/settings.js";
import { blocksOf, conditionWord, partText, seedText, valueText } from "../data/values.js";

const PROMPT = /(^|[.\s])(prompt|positive|text)$/i; // names under which pipelines take it
const UNTOLD = new Set(["name", "variable", "variables", "config", "blocks", "jobs_per_variant", "seed", "seeds", "paired"]); // told in other words

/** Return what varies, as a name. */
export function variableText(definition) {
  return knobsOf(definition).map((knob) => knob.name).join(" × ");
}

/** Return how many jobs of an experiment have ended. */
export function endedJobs({ totals }) {
  return totals.completed + totals.failed + totals.cancelled;
}

/** Return how many jobs of an experiment have not ended. */
export function openJobs({ totals }) {
  return totals.jobs - endedJobs({ totals });
}

/** Return the time that is left as text, "" where nobody knows or nothing is left. */
export function timeLeft(status) {
  if (hasEnded(status) || !status.eta_seconds) return "";
  return status.eta_seconds < 1 ? "a moment left" : `about ${durationText(status.eta_seconds)} left`;
}

/** Return what each picture was made with, in a few short texts: the prompt first. */
export function inShort(definition) {
  const { config = {} } = definition;
  const { steps, width, height } = config;
  return [
    promptText(definition),
    definition.pipeline,
    steps !== undefined && `${valueText(steps)} steps`,
    width !== undefined && height !== undefined && `${valueText(width)} × ${valueText(height)}`,
    seedsText(definition),
  ].filter(Boolean);
}

function promptText(definition) {
  const blocks = definition.blocks ?? [];
  if (blocks.length > 1) return `${blocks.length} ${conditionWord(definition) === "block" ? "blocks" : `${conditionWord(definition)}s`}`;
  const settings = Object.entries({ ...definition.config, ...blocks[0]?.config });
  const varied = knobsOf(definition).map((knob) => knob.name);
  const prompt = settings.find(([name, value]) => PROMPT.test(name) && typeof value === "string" && value && !varied.includes(name));
  if (prompt) return isolated(`“${prompt[1]}”`);
  const command = definition.config?.command;
  return command === undefined ? "" : Array.isArray(command) ? command.map(valueText).join(" ") : valueText(command);
}

/** Return the seeds of a definition: "seeds 1234–1236". */
function seedsText(definition) {
  const count = definition.jobs_per_variant ?? 1;
  if (definition.paired === false) return `${count} ${count === 1 ? "picture" : "pictures"} a value`;
  const seed = (place) => seedText(definition, place * blocksOf(definition));
  if (count === 1) return `seed ${seed(0)}`;
  if (definition.seeds?.length) return `seeds ${Array.from({ length: count }, (_, place) => seed(place)).join(", ")}`;
  return `seeds ${seed(0)}–${seed(count - 1)}`;
}

/** Return all of a definition as pairs of a name and a text. */
export function allSettings(definition) {
  const rows = knobsOf(definition).map((knob) => [`${knob.name} (varies)`, valuesText(knob)]);
  rows.push(...Object.entries(definition.config ?? {}).map(([name, value]) => [name, partText(value)]));
  for (const [at, block] of (definition.blocks ?? []).entries()) {
    const settings = Object.entries(block.config ?? {}).map(([name, value]) => `${name} ${partText(value)}`);
    rows.push([block.name || `block ${at + 1}`, settings.join(", ") || "as configured"]);
  }
  rows.push(["seeds", seedsText(definition).replace(/^seeds? /, "")]);
  for (const name of ["pipeline", "stage", "objective"]) rows.push([name, definition[name] ?? DEFAULTS[name]]);
  const told = new Set([...UNTOLD, "pipeline", "stage", "objective"]);
  rows.push(...Object.entries(definition).filter(([name]) => !told.has(name)).map(([name, value]) => [name, partText(value)]));
  return rows;
}

const DEFAULTS = { pipeline: "embedded", stage: "txt2img", objective: "stars" }; // the bus leaves them out

function valuesText(knob) {
  if (Array.isArray(knob.values)) return knob.values.map(valueText).join(", ");
  return knob.values ?? `${knob.start} to ${knob.stop} by ${knob.step}`;
}
