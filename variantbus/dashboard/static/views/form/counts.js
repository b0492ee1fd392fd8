// How much is made, and what counts: seeds, the objective, what measures the pictures, and whether the plan searches by itself.

import { html, nothing } from "../../base/html.js";
import { choice, domId, labelled, lineInput, toggle, wrong } from "./fields.js";
import { textOf, valueOf } from "../../data/entries.js";

const OBJECTIVES = [
  ["stars", "My stars", "You give each picture 1 to 5 stars."],
  ["preference", "Which of two", "You see two pictures at a time and say which is better."],
  ["seconds", "Time of a job", "The fastest value is the best; each job runs alone, so that nothing else changes its time."],
  ["metric", "A number", "A number that the pipeline reports, or that something measures in the pictures."],
];
const SEEDS = "3"; // for each value, unless somebody writes another number

/** Return the section of seeds and of what decides. */
export function countsSection(form) {
  const { draft } = form;
  const turn = (value) => () => form.change(decided(form, value));
  const objective = ([value, text]) => html`<label class="option">
    <input type="radio" name="objective" value=${value} .checked=${draft.objective === value} @change=${turn(value)} /><span>${text}</span>
  </label>`;
  const isMetric = draft.objective === "metric";
  return html`<section class="part" aria-labelledby="what-counts">
    <h2 id="what-counts">What counts</h2>
    <div class="options" role="radiogroup" aria-labelledby="what-counts">${OBJECTIVES.map(objective)}</div>
    <p class="facts">${OBJECTIVES.find(([value]) => value === draft.objective)[2]}</p>
    ${wrong(form, "objective")}
    ${isMetric || (draft.objective === "seconds" && draft.goal) ? html`<div class="row">${isMetric ? metric(form) : ""}${goal(form)}</div>` : ""}
    ${scorers(form)}
  </section>`;
}

/** Return the section of how much is made. */
export function amountSection(form) {
  const { draft } = form;
  const jobs = lineInput(form, "jobs", draft.jobs, (text) => form.change({ jobs: text }), { mode: "numeric", hint: true });
  const budget = lineInput(form, "budget", draft.budget, (text) => form.change({ budget: text }), { mode: "numeric" });
  return html`<section class="part" aria-labelledby="how-much">
    <h2 id="how-much">How much</h2>
    <div class="row amount">
      ${labelled(form, "jobs", "Seeds for each value", jobs, { hint: "the same seeds under each value; one picture each" })}
      ${draft.adaptive ? labelled(form, "budget", "Jobs at most", budget) : ""}
    </div>
    <label class="check">
      <input type="checkbox" name="adaptive" .checked=${draft.adaptive} @change=${(event) => form.change(searching(draft, event.target.checked))} />
      Adaptive search
    </label>
    <p class="facts">${draft.adaptive
      ? `It begins with a few values, then makes the pictures that tell most, until one value is best with ${draft.stop || "90 %"} or ${draft.budget || "so many"} jobs are spent.`
      : "Instead of as many seeds for each value: more of the values that promise most, until the answer is sure or a budget is spent."}</p>
  </section>`;
}

/** A search begins with one seed of a value, and looks again at those where more seeds tell something. */
function searching(draft, adaptive) {
  const isUsual = draft.jobs === (adaptive ? SEEDS : "1");
  return { adaptive, jobs: isUsual ? (adaptive ? "1" : SEEDS) : draft.jobs };
}

function decided({ draft, spec, scorers: all }, objective) {
  const first = spec?.metrics?.[0] ?? draft.score?.use?.[0] ?? "";
  const metric = objective === "metric" && !draft.metric ? first : draft.metric;
  return { objective, metric, ...(objective === "metric" && metric in all ? measured(draft, metric, true) : {}) };
}

function metric(form) {
  const { draft, spec } = form;
  const known = spec?.metrics ?? [];
  const own = draft.score?.metrics ?? [];
  const measures = Object.keys(form.scorers).filter((name) => !known.includes(name));
  const set = (name) => form.change({ metric: name, ...(name in form.scorers && !known.includes(name) ? measured(draft, name, true) : {}) });
  const isFree = spec?.metrics === undefined || spec?.metrics === null; // only a job can tell which numbers it reports
  if (isFree) {
    const control = lineInput(form, "metric", draft.metric, set, { placeholder: "loss", hint: true });
    return labelled(form, "metric", "Which number", control, { hint: "as the last line of its output has it, or a measure below" });
  }
  const isGone = draft.metric && ![...known, ...own, ...measures].includes(draft.metric);
  const named = [...(isGone ? [draft.metric] : []), ...known, ...own].map((name) => [name, name]);
  const options = [["", "choose …"], ...named, { label: "Measured in the pictures", options: measures.map((name) => [name, name]) }];
  return labelled(form, "metric", "Which number", choice(form, "metric", draft.metric, options, set));
}

function goal(form) {
  const { draft } = form;
  const usual = draft.objective === "seconds" ? "as small as possible" : "as large as possible";
  const options = [["", usual], ["maximize", "large"], ["minimize", "small"]];
  return labelled(form, "goal", "It is to be", choice(form, "goal", draft.goal, options, (value) => form.change({ goal: value })));
}

function scorers(form) {
  const names = Object.keys(form.scorers);
  if (!names.length && !draftScorers(form).length) return "";
  const used = draftScorers(form);
  const all = [...names, ...used.filter((name) => !names.includes(name))];
  const one = (name) => toggle(name, used.includes(name), () => form.change(measured(form.draft, name, !used.includes(name))), form.scorers[name]?.about ?? "");
  return html`<details class="scorers" ?open=${used.length > 0 || Boolean(form.problem("scorers"))}>
    <summary>Measure the pictures, too</summary>
    <div class="choices" role="group" aria-label="Measures">${all.map(one)}</div>
    ${used.map((name) => options(form, name))}
    ${form.draft.score?.command?.length ? html`<p class="facts">and by the program <code>${textOf(form.draft.score.command)}</code></p>` : ""}
    <div id=${domId("scorers")} tabindex=${form.problem("scorers") ? "-1" : nothing}>${wrong(form, "scorers")}</div>
  </details>`;
}

function draftScorers(form) {
  return form.draft.score?.use ?? [];
}

/** Return a draft's scorers with one more or one fewer; the options of one that goes, go with it. */
function measured(draft, name, isOn) {
  const { use = [], options: given = {}, ...rest } = draft.score ?? {};
  const { [name]: own, ...others } = given;
  const kept = isOn && own ? { ...others, [name]: own } : others;
  const found = isOn ? [...new Set([...use, name])] : use.filter((one) => one !== name);
  return { score: { ...rest, use: found, ...(Object.keys(kept).length ? { options: kept } : {}) }, ...(isOn || draft.metric !== name ? {} : { metric: "" }) };
}

function options(form, name) {
  const knobs = Object.entries(form.scorers[name]?.options ?? {});
  if (!knobs.length) return "";
  const given = form.draft.score.options?.[name] ?? {};
  const set = (key, knob, text) => {
    const { [key]: before, ...others } = given;
    form.change({ score: { ...form.draft.score, options: { ...form.draft.score.options, [name]: text.trim() ? { ...others, [key]: typed(text, knob) } : others } } });
  };
  return html`<div class="many">${knobs.map(([key, knob]) => {
    const field = `score ${name} ${key}`;
    return labelled(form, field, `${name}: ${key}`, lineInput(form, field, textOf(given[key], knob), (text) => set(key, knob, text), { placeholder: knob.target ?? "" }));
  })}</div>`;
}

/** Return what was typed as a value if it is one; else the text, about which the plan says what it has to be. */
function typed(text, knob) {
  try {
    return valueOf(text, knob);
  } catch {
    return text;
  }
}
