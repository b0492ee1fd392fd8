// What decides an experiment, and how a person changes that.

import { html, live } from "../base/html.js";
import { complain, say } from "../base/toast.js";
import { of, post } from "../data/api.js";
import { state } from "../data/state.js";

const OF_PEOPLE = ["stars", "preference"];
const WORDS = { stars: "stars", preference: "comparisons", seconds: "time (seconds)" };

/** Return the objective of the open experiment. */
export function objectiveNow() {
  return state.open?.status?.definition.objective ?? "stars";
}

/** Return whether a person's judgement decides the open experiment, and not a number of its jobs. */
export function isOfPeople(name = objectiveNow()) {
  return OF_PEOPLE.includes(name);
}

/** Return what an objective is called. */
export function objectiveText(name) {
  return WORDS[name] ?? name;
}

/** Let something else decide: an objective, a goal, or both. */
export async function decideBy(id, changes) {
  try {
    const view = await post(of(id, "set"), changes);
    say(`decided by ${objectiveText(view.definition.objective ?? "stars")} now`);
  } catch (error) {
    complain(error.message);
  }
}

/** Return everything that could decide the open experiment: what people say, and what its jobs report. */
export function objectives() {
  const metrics = [...(state.open?.variants.values() ?? [])].flatMap((one) => Object.keys(one.metrics));
  const score = state.open?.status?.definition.score;
  return [...new Set([...OF_PEOPLE, "seconds", ...metrics, ...(score?.use ?? []), ...(score?.metrics ?? []), objectiveNow()])];
}

/** Return a choice of the objective, and of the goal where there are two, with a line that says what it means. */
export function objectiveChoice(id) {
  const now = objectiveNow();
  const goal = state.open?.recommendation?.objective.startsWith("minimize") ? "minimize" : "maximize";
  const option = (value, text, wanted) => html`<option value=${value} .selected=${live(value === wanted)}>${text}</option>`;
  const goals = html`<select aria-label="Goal" @change=${(event) => decideBy(id, { goal: event.target.value })}>
    ${option("maximize", "more is better", goal)}${option("minimize", "less is better", goal)}
  </select>`;
  return html`<div class="decides">
    <label class="check">Decided by
      <select aria-label="Decided by" @change=${(event) => decideBy(id, { objective: event.target.value })}>
        ${objectives().map((name) => option(name, objectiveText(name), now))}
      </select>
    </label>
    ${isOfPeople(now) ? "" : goals}
    <span class="meaning">${meaning(now, goal)}</span>
  </div>`;
}

function meaning(now, goal) {
  if (now === "stars") return "The value whose pictures get the most stars from you is best.";
  if (now === "preference") return "The value that wins most when you compare two pictures is best.";
  const better = goal === "minimize" ? "lowest" : "highest";
  return now === "seconds" ? `The value with the ${better} time of a job is best.` : `The value with the ${better} ${now}, which each job reports, is best.`;
}
