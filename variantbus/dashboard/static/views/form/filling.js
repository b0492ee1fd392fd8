// What changes the draft of a form, and what follows from that at once.

import { linkTo } from "../../base/routes.js";
import { definitionOf } from "./definition.js";
import { moved } from "./draft.js";
import { forget, keep } from "./kept.js";
import { placeIn, settingsOf, variablesOf } from "./settings.js";

/** Return the functions by which the parts of a form change it. */
export function filling(form) {
  /** Take what was typed, keep it, and ask for its plan. */
  function change(patch, { isTyped = true } = {}) {
    form.draft = { ...form.draft, ...patch };
    const { draft } = form;
    form.spec = form.pipelines[draft.pipeline]?.[draft.stage];
    if (isTyped) keep(form.from, draft);
    const { definition, problems } = definitionOf(draft, form.spec);
    form.settings = settingsOf(form.spec, definition.config);
    form.variables = variablesOf(form.spec, definition.config);
    Object.assign(form, { planned: definition, problems });
    if (problems.length) Object.assign(form, { plan: null, refused: "" });
    form.askSoon();
    form.draw();
  }

  function changeAxis(axis, patch) {
    const axes = form.draft.axes.map((one) => (one.key === axis.key ? { ...one, ...patch } : one));
    change({ axes });
    return axes.find((one) => one.key === axis.key);
  }

  function move(pipeline, stage) {
    const place = placeIn(form.pipelines, pipeline, stage);
    const spec = form.pipelines[place.pipeline]?.[place.stage];
    const variables = !spec || spec.unavailable ? null : variablesOf(spec, definitionOf({ ...form.draft, ...place }, spec).definition.config);
    change(moved(form.draft, place, variables));
  }

  function find(search) {
    form.search = search;
    form.draw();
  }

  /** Put a draft of somewhere else, such as a picture, into the form. */
  function take(draft) {
    form.draft = draft;
    form.isPressed = false;
    move(draft.pipeline, draft.stage);
  }

  function startOver() {
    forget(form.from);
    form.askNoMore(); // what is under way is of the old draft
    Object.assign(form, { draft: null, plan: null, isPressed: false });
    form.draw(); // until the new one is there nothing of the old one can be pressed
    if (form.from) location.hash = linkTo(["new"]);
    else form.load();
  }

  return { change, changeAxis, move, find, take, startOver };
}
