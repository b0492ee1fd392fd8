// What decides an experiment, and how a person changes that.

import { of, post } from "../../data/api.js";
import { h, fill } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { state } from "../../data/state.js";

const OF_PEOPLE = ["stars", "preference"];

/** Return the objective of the open experiment. */
export function objectiveNow() {
  return state.open?.status?.definition.objective ?? "stars";
}

/** Let something else decide: an objective, a goal, or both. */
export async function decideBy(id, changes) {
  try {
    const view = await post(of(id, "set"), changes);
    say(`decided by ${view.definition.objective ?? "stars"} now`);
  } catch (error) {
    complain(error.message);
  }
}

/** Return a choice of the objective, and of the goal where there are two. */
export function objectiveChoice(id) {
  const names = h("select", { "aria-label": "Decided by", onchange: () => decideBy(id, { objective: names.value }) });
  const goals = h("select", { "aria-label": "Goal", onchange: () => decideBy(id, { goal: goals.value }) });
  const element = h("label", { class: "check" }, "decided by ", names, goals);
  let drawn = "";

  function update() {
    const metrics = [...(state.open?.variants.values() ?? [])].flatMap((one) => Object.keys(one.metrics));
    const now = objectiveNow();
    const score = state.open?.status?.definition.score;
    const all = [...new Set([...OF_PEOPLE, "seconds", ...metrics, ...(score?.use ?? []), ...(score?.metrics ?? []), now])];
    const goal = state.open?.recommendation?.objective.startsWith("minimize") ? "minimize" : "maximize";
    const wanted = JSON.stringify([all, now, goal]);
    if (wanted === drawn) return; // a list that is open stays open
    drawn = wanted;
    fill(names, all.map((name) => h("option", { value: name, selected: name === now }, name)));
    fill(goals, ["maximize", "minimize"].map((name) => h("option", { value: name, selected: name === goal }, name)));
    goals.hidden = OF_PEOPLE.includes(now);
  }

  return { element, update };
}
