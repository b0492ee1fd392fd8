// The sending of a form: what is wrong is shown at its field, and what is planned is opened.

import { linkTo } from "../../base/routes.js";
import { say } from "../../base/toast.js";
import { post } from "../../data/api.js";
import { free } from "./asking.js";
import { definitionOf } from "./definition.js";
import { domId } from "./fields.js";
import { forget } from "./kept.js";

/** Run what is in a form, once. */
export async function submit(form) {
  if (form.isSending || !form.draft) return;
  form.isPressed = true;
  const { definition, problems } = definitionOf(form.draft, form.spec);
  Object.assign(form, { problems });
  form.draw();
  if (problems.length) return focus(form, problems[0].field);
  form.isSending = true;
  form.askNoMore();
  form.draw();
  try {
    await plan(form, definition);
  } catch (error) {
    form.refuse(error);
    focus(form, form.problems[0]?.field ?? "refused");
  } finally {
    form.isSending = false;
    if (form.isOpen) form.draw();
  }
}

async function plan(form, definition) {
  const name = await free(definition.name);
  const view = await post("/api/experiments", { definition: { ...definition, name } });
  forget(form.from);
  if (!form.isOpen) return say(`${name} is planned`); // the person is elsewhere meanwhile
  location.hash = linkTo(["e", view.experiment_id, "grid"]);
  const told = () => setTimeout(say, 0, `it is called ${name}, as there is another ${definition.name}`); // on its page
  if (name !== definition.name) addEventListener("hashchange", told, { once: true });
}

/** Go to a field, wherever it is folded away, or to the sentence that says why nothing can be run. */
export function focus(form, field) {
  const found = document.getElementById(domId(field)) ?? document.getElementById(`${domId(field)}-form`) ?? document.getElementById(domId("refused"));
  if (found?.closest(".moresettings:not([open])")) form.change({ isMoreOpen: true }, { isTyped: false });
  found?.closest("details:not(.moresettings)")?.setAttribute("open", "");
  found?.focus();
  found?.scrollIntoView({ block: "center" });
}
