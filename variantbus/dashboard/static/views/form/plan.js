// The form for a new experiment, built from the variables of the runner's pipelines; shows the plan before it is sent.

import { get, post } from "../../data/api.js";
import { h, fill } from "../../base/dom.js";
import { complain } from "../../base/toast.js";
import { durationText } from "../../base/text.js";
import { valueText, whole } from "../../data/values.js";
import { axesOf, hint, readAxes } from "./axes.js";

const MOST = "18446744073709551615"; // a seed has 64 bits
const SEEDS = 3; // for each value, unless somebody writes another number
const PAUSE = 300; // ms from the last key to the request for the plan
const OBJECTIVES = [["stars", "my stars"], ["preference", "which of two I prefer"], ["seconds", "the time of a job"], ["", "a metric that jobs report"]];

const GOALS = [["", "small for the time, else large"], ["maximize", "large"], ["minimize", "small"]];

export function planView() {
  const form = h("form", { class: "plan", onsubmit: submit, oninput: soon });
  const preview = h("div", { class: "preview", role: "status" });
  const element = h("section", {}, h("h1", {}, "New experiment"), h("div", { class: "two" }, form, preview));
  let pipelines = {};
  let timer = 0;
  let asked = 0;

  fill(form, h("p", {}, "asking the runner …"));
  get("/api/pipelines").then(
    (reply) => {
      pipelines = reply.pipelines;
      draw();
    },
    (error) => fill(form, h("p", { class: "error" }, error.message)),
  );

  function draw() {
    const names = Object.keys(pipelines).sort((one, other) => (other === "embedded") - (one === "embedded"));
    const pipeline = select("pipeline", names);
    pipeline.addEventListener("change", drawStages);
    const stages = h("div", { class: "row" });
    const rest = h("div", {});
    fill(
      form,
      field("Name", h("input", { name: "name", required: true, maxlength: 200, value: "My experiment" })),
      h("div", { class: "row" }, field("Pipeline", pipeline), stages),
      rest,
    );

    function drawStages() {
      const stage = select("stage", Object.keys(pipelines[pipeline.value]));
      stage.addEventListener("change", () => drawKnobs(rest, spec()));
      fill(stages, field("Stage", stage));
      drawKnobs(rest, spec());
    }
    drawStages();
    soon();
  }

  function spec() {
    const stages = pipelines[form.elements.pipeline.value];
    return stages[form.elements.stage?.value] ?? Object.values(stages)[0];
  }

  function drawKnobs(into, stage) {
    if (stage.unavailable) {
      fill(into, h("p", { class: "error" }, stage.unavailable));
      return;
    }
    const knobs = stage.variables ?? {};
    const names = Object.keys(knobs);
    const first = names.includes("cfg_scale") ? "cfg_scale" : names[0];
    const config = { ...knobs, ...stage.config };
    fill(
      into,
      axesOf(knobs, first, Object.keys(stage.config ?? {}).filter((name) => stage.config[name].open || stage.config[name].inside)),
      h("div", { class: "row" }, field("Seeds for each value", number("jobs", SEEDS, 1, 256)), field("First seed", number("seed", 1234, 0, MOST)), field("Combinations at most", h("input", { name: "sample", type: "number", min: 1, step: 1, placeholder: "all; fewer are spread evenly" }))),
      "prompt" in config && field("Prompts, one a line", h("textarea", { name: "prompts", rows: 3, placeholder: "instead of the one in the settings: each value is tried with each" })),
      h("div", { class: "row" }, field("What makes a value good", objective()), field("Metric", h("input", { name: "metric", placeholder: "prompt_match" })), field("It is to be", h("select", { name: "goal" }, GOALS.map(([value, text]) => h("option", { value }, text))))),
      h("div", { class: "row" }, h("label", { class: "check" }, h("input", { type: "checkbox", name: "adaptive", onchange: firstSeeds }), " adaptive: try what promises most"), field("Jobs at most", number("budget", 40, 1, 100000))),
      h("fieldset", {}, h("legend", {}, "Settings of every job"), Object.entries(config).filter(([name]) => name !== "seed").map(([name, knob]) => field(name, knobInput(name, knob, (stage.required ?? []).includes(name)), hint(knob)))),
      h("button", { class: "primary", type: "submit" }, "Run it"),
    );
    const prompt = form.elements["config prompt"];
    if (prompt && !prompt.value) prompt.value = "a blue star";
  }

  /** A search begins with one seed of a value, and looks again at those where more seeds tell something. */
  function firstSeeds({ target }) {
    const { jobs } = form.elements;
    if (Number(jobs.value) === (target.checked ? SEEDS : 1)) jobs.value = target.checked ? 1 : SEEDS;
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  }

  async function ask() {
    const mine = ++asked;
    let found;
    try {
      const plan = await post("/api/plan", { definition: definition(form) });
      found = planText(plan, form);
    } catch (error) {
      found = h("p", { class: "error" }, error.message);
    }
    if (mine === asked) fill(preview, h("h2", {}, "Plan"), found);
  }

  async function submit(event) {
    event.preventDefault();
    try {
      const view = await post("/api/experiments", { definition: definition(form) });
      location.hash = `#/e/${encodeURIComponent(view.experiment_id)}/grid`;
    } catch (error) {
      complain(error.message);
    }
  }

  return { element, close: () => clearTimeout(timer) };
}

function planText(plan, form) {
  const shown = plan.values.slice(0, 40);
  const more = plan.values.length - shown.length;
  const count = promptsOf(form).length;
  return [
    h("p", { class: "big" }, `${plan.values.length} values × ${count ? `${counted(count, "prompt")} × ` : ""}${counted(form.elements.jobs.value, "seed")} = ${plan.jobs} jobs`),
    plan.exclusive && h("p", {}, "Each job runs alone on its runner, so that nothing else changes its time."),
    plan.most_jobs > plan.jobs ? h("p", {}, `and more, up to ${plan.most_jobs} in all`) : null,
    h("p", {}, plan.seconds === null ? "The duration is known after the first job of this pipeline." : `About ${durationText(plan.seconds)}, one job after the other.`),
    h("ol", { class: "values", start: 0 }, shown.map((value) => h("li", {}, valueText(value)))),
    more > 0 ? h("p", {}, `… and ${more} more`) : null,
  ];
}

/** Read the form into a definition, as the learning service takes it. */
function definition(form) {
  const read = (name) => form.elements[name]?.value ?? "";
  const axes = readAxes(read);
  const config = {};
  for (const element of form.elements) {
    if (!element.name?.startsWith("config ") || element.value === "") continue;
    config[element.name.slice(7)] = typed(element.value, element.dataset.kind);
  }
  for (const one of axes) if (!one.fills && !one.replace) delete config[one.name];
  const prompts = promptsOf(form);
  if (prompts.length) delete config.prompt;
  const isMetric = read("objective") === "";
  return {
    name: read("name"),
    pipeline: read("pipeline"),
    stage: read("stage"),
    ...(axes.length > 1 ? { variables: axes } : { variable: axes[0] }),
    ...(read("sample") ? { sample: Number(read("sample")) } : {}),
    jobs_per_variant: Number(read("jobs")),
    seed: whole(read("seed")),
    objective: isMetric ? read("metric") || "prompt_match" : read("objective"),
    ...(["stars", "preference"].includes(read("objective")) ? {} : read("goal") && { goal: read("goal") }),
    ...(form.elements.adaptive?.checked ? { mode: "adaptive", budget: Number(read("budget")) } : {}),
    config,
    ...(prompts.length ? { blocks: prompts.map((prompt) => ({ config: { prompt } })) } : {}),
  };
}

function counted(number, noun) {
  return `${number} ${noun}${Number(number) === 1 ? "" : "s"}`;
}

function promptsOf(form) {
  return (form.elements.prompts?.value ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
}

function typed(text, kind) {
  if (kind === "int" || kind === "float") return whole(text);
  if (kind === "bool") return text === "true";
  if (kind === "list" || kind === "map") {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text === '""' ? "" : text; // an empty field is no setting, this is the empty text
}

function objective() {
  return h("select", { name: "objective" }, OBJECTIVES.map(([value, text]) => h("option", { value }, text)));
}

function knobInput(name, knob, isRequired) {
  const common = { name: `config ${name}`, "data-kind": knob?.kind ?? "str", required: isRequired };
  if (knob?.kind === "bool") return h("select", common, ["", "true", "false"].map((one) => h("option", { value: one }, one)));
  if (knob?.kind === "map") return h("input", { ...common, placeholder: '{"name": 1}' });
  if (knob?.choices?.length) return h("select", common, ["", ...knob.choices].map((one) => h("option", { value: one }, String(one))));
  if (knob?.kind === "int" || knob?.kind === "float") return h("input", { ...common, type: "number", min: knob.minimum, max: knob.maximum, step: knob.kind === "int" ? 1 : "any" });
  return h("input", common);
}

function field(label, input, more = null) {
  return h("label", { class: "field" }, h("span", {}, label), input, more && (typeof more === "string" ? h("small", {}, more) : more));
}

function select(name, values, chosen) {
  return h("select", { name }, values.map((value) => h("option", { value, selected: value === chosen }, value || "nothing else")));
}

function number(name, value, min, max) {
  return h("input", { name, type: "number", value, min, max, step: 1, required: true });
}
