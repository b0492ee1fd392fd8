// What a form asks: what can be planned, the plan of its draft as that changes, and both again while somebody is away.

import { get, of, post } from "../../data/api.js";
import { problemOf } from "../../experiment/errors.js";
import { definitionOf } from "./definition.js";
import { draftOf, freeName, newDraft } from "./draft.js";
import { domId } from "./fields.js";
import { placeIn } from "./settings.js";

const PAUSE = 300; // ms from the last key to the request for the plan
const AGAIN = 3000; // ms until a service that was away, or a pipeline, is looked for again

/** Return the functions by which a form asks. */
export function asking(form) {
  const timers = { ask: 0, again: 0 };
  let asked = 0; // requests for a plan; an answer to an earlier one than the newest is dropped

  /** Ask what can be planned, and for the definition that is to be in the form. */
  async function load() {
    const { from } = form;
    try {
      const [reply, view] = await Promise.all([get("/api/pipelines"), form.draft || !from ? null : get(of(from))]);
      if (from !== form.from || !form.isOpen) return;
      Object.assign(form, { pipelines: reply.pipelines, scorers: reply.scorers ?? {}, isAway: false, refused: "" });
      const place = placeIn(form.pipelines, form.draft?.pipeline ?? "embedded", form.draft?.stage ?? "txt2img");
      if (!form.draft) form.draft = view ? await copied(view, from) : newDraft(place.pipeline, place.stage);
      form.change({}, { isTyped: false });
    } catch (error) {
      if (form.isOpen) refuse(error);
    }
  }

  async function ask() {
    const mine = ++asked;
    const { definition, problems } = definitionOf(form.draft, form.spec);
    if (problems.length || !form.spec) return soonAgain();
    try {
      const plan = await post("/api/plan", { definition });
      if (mine === asked) Object.assign(form, { plan, planned: definition, problems: [], refused: "", isAway: false });
    } catch (error) {
      if (mine === asked) refuse(error);
    }
    if (mine === asked) form.draw();
  }

  function askSoon() {
    clearTimeout(timers.ask);
    timers.ask = setTimeout(ask, PAUSE);
  }

  /** Drop the answer that is under way, and ask for no other one. */
  function askNoMore() {
    asked += 1;
    clearTimeout(timers.ask);
    clearTimeout(timers.again);
  }

  /** Say what is in the way: at its field, or in the card. */
  function refuse(error) {
    form.isAway = Boolean(error.isAway);
    const found = form.isAway ? { field: null, text: `${error.message}. It is asked again by itself.` } : placed(form, error.message);
    Object.assign(form, { plan: null, problems: found.field ? [found] : [], refused: "" });
    form.draw();
    if (found.field && form.element.querySelector(`#${CSS.escape(`${domId(found.field)}-wrong`)}`)) return soonAgain();
    form.refused = found.field ? error.message : found.text; // a sentence must stand somewhere
    form.problems = [];
    form.draw();
    soonAgain();
  }

  /** Look again by itself for what is not there now. */
  function soonAgain() {
    clearTimeout(timers.again);
    if (form.isOpen && (form.isAway || form.spec?.unavailable || !form.spec)) timers.again = setTimeout(load, AGAIN);
  }

  return { load, askSoon, askNoMore, refuse };
}

/** Return a name that no experiment has; who cannot be asked does not keep anybody from running it. */
export async function free(name) {
  const stem = name.replace(/ \d+$/, "").slice(0, 200);
  const { names } = await get(`/api/names?${new URLSearchParams({ search: stem })}`).catch(() => ({ names: [] }));
  return freeName(name, names);
}

async function copied(view, from) {
  const draft = draftOf(view.definition, from);
  return { ...draft, name: await free(view.definition.name) };
}

/** Return at which field a refusal belongs. */
function placed(form, message) {
  if (!form.draft) return { field: null, text: message };
  const axes = form.draft.axes.filter((axis) => axis.form !== "setting" || axis.name);
  return problemOf(message, { axes, config: Object.keys(form.settings), objective: form.draft.objective });
}
