// What a stage of a pipeline takes, with what the draft adds to it: the placeholders of a command, the inputs of a workflow.

const PLACEHOLDER = /\{\{[A-Za-z_]\w*\}\}|\{([A-Za-z_]\w*)\}/g;

/** Return what can be set: a map from each setting to what it takes, null if any single value. */
export function settingsOf(spec, config) {
  const known = { ...spec?.variables, ...spec?.config };
  for (const name of openNames(spec, config)) known[name] ??= null;
  for (const name of Object.keys(config)) {
    if (!(name in known) && tableOf(spec, name)) known[name] = null;
  }
  delete known.seed;
  return known;
}

/** Return what can be varied, by the same rule; the prompt and others that people vary most come first. */
export function variablesOf(spec, config) {
  const names = { ...Object.fromEntries(openNames(spec, config).map((name) => [name, null])), ...spec?.variables };
  const first = ["cfg_scale", "steps", "sampler_name", "scheduler", "model", "prompt"].filter((name) => name in names);
  return Object.fromEntries([...new Set([...first, ...Object.keys(names)])].map((name) => [name, names[name]]));
}

/** Return the tables of a stage whose values are variables, too: `loras.detail`. */
export function tablesOf(spec) {
  return Object.entries(spec?.config ?? {}).filter(([, knob]) => knob.open || knob.inside).map(([name]) => name);
}

/** Return the variables that the settings themselves announce. */
function openNames(spec, config) {
  const provided = new Set(spec?.provided ?? []);
  const template = spec?.template && config[spec.template];
  const texts = Array.isArray(template) ? template.filter((one) => typeof one === "string") : [];
  const found = texts.flatMap((text) => [...text.matchAll(PLACEHOLDER)].map((match) => match[1]).filter(Boolean));
  const map = spec?.map && config[spec.map];
  return [...found.filter((name) => !provided.has(name) && name !== "seed"), ...(map && typeof map === "object" ? Object.keys(map) : [])];
}

function tableOf(spec, name) {
  const [table] = name.split(".");
  return table !== name && (spec?.config?.[table]?.inside || spec?.config?.[table]?.open);
}

/** Return why nothing can be planned with a stage now, "" if it can. */
function whyNot(spec) {
  return spec?.unavailable ?? "";
}

/** Return the pipelines for a choice: those that can be used, the built-in one first, and the others with the reason. */
export function pipelineChoices(pipelines) {
  const all = Object.entries(pipelines).map(([name, stages]) => {
    const reasons = Object.values(stages).map(whyNot);
    return { name, reason: reasons.every(Boolean) ? reasons[0] ?? "it has no stage" : "" };
  });
  const order = (one) => (one.name === "noop" ? 2 : 1); // it is there to try the bus itself
  const ready = all.filter((one) => !one.reason).sort((one, other) => order(one) - order(other) || one.name.localeCompare(other.name));
  return { ready: ready.map((one) => one.name), away: all.filter((one) => one.reason).sort((one, other) => one.name.localeCompare(other.name)) };
}

/** Return a pipeline and a stage that there are: those wanted if possible. */
export function placeIn(pipelines, pipeline, stage) {
  const { ready, away } = pipelineChoices(pipelines);
  const found = pipeline in pipelines ? pipeline : ["embedded", ...ready, ...away.map((one) => one.name)].find((name) => name in pipelines);
  const stages = Object.keys(pipelines[found] ?? {});
  return { pipeline: found ?? pipeline, stage: stages.includes(stage) ? stage : stages[0] ?? stage };
}

/** Return what a setting takes, in a few words. */
export function boundsText(knob) {
  if (!knob) return "";
  const { minimum, maximum, unit } = knob;
  const most = maximum !== undefined && maximum < 1e15 ? maximum : undefined; // a bound of 64 bits tells nobody anything
  const range = minimum !== undefined && most !== undefined ? `${minimum} to ${most}` : minimum !== undefined ? `at least ${minimum}` : most !== undefined ? `at most ${most}` : "";
  return [range, unit].filter(Boolean).join(" ");
}

/** Return values to begin with, where people would have to think of some. */
export function suggestions(name, knob, pipeline) {
  const values = { cfg_scale: pipeline === "embedded" ? [1, 1.5, 2, 4] : [3, 5, 7, 9], steps: [10, 20, 30, 40] }[name];
  if (values) return values.filter((value) => value >= (knob?.minimum ?? value) && value <= (knob?.maximum ?? value));
  return knob?.kind === "float" && knob.minimum === 0 && knob.maximum === 1 ? [0.25, 0.5, 0.75, 1] : [];
}
