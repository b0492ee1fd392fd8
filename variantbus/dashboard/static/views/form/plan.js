// The form for a new experiment: the draft, which is kept in the tab, the plan that is asked for as it changes, and the sending.

import { get, of, post } from "../../data/api.js";
import { html, render } from "../../base/html.js";
import { linkTo } from "../../base/routes.js";
import { say } from "../../base/toast.js";
import { amountSection, countsSection } from "./counts.js";
import { axesSection } from "./axes.js";
import { card } from "./card.js";
import { definitionOf } from "./definition.js";
import { draftOf, freeName, moved, newDraft } from "./draft.js";
import { problemOf } from "../../experiment/errors.js";
import { domId } from "./fields.js";
import { forget, kept, keep } from "./kept.js";
import { keptSection, moreSection } from "./more.js";
import { dropzone, openButton } from "./open.js";
import { pipelineChoice, subject, unavailableSection } from "./subject.js";
import { placeIn, settingsOf, variablesOf } from "./settings.js";

const PAUSE = 300; // ms from the last key to the request for the plan
const AGAIN = 3000; // ms until a service that was away, or a pipeline, is looked for again

export function planView(route) {
  const element = document.createElement("section");
  const timers = { ask: 0, again: 0 };
  let asked = 0; // requests for a plan; an answer to an earlier one than the newest is dropped
  let isOpen = true;
  const form = {
    draft: null, pipelines: {}, scorers: {}, spec: undefined, settings: {}, variables: {}, problems: [], plan: null, planned: null,
    refused: "", search: "", from: null, isSending: false, isPressed: false, isAway: false,
    change, changeAxis, move, find, focus, problem, take, draw, startOver,
  };
  element.className = "newview";
  const endDrops = dropzone(element, form);
  go(route);

  /** Show the form of an address: an empty one, or one with the definition of an experiment in it. */
  async function go({ query }) {
    clearTimeout(timers.ask);
    asked += 1; // a plan that is under way is of another form
    Object.assign(form, { from: query.get("from"), draft: kept(query.get("from")), plan: null, problems: [], refused: "", isPressed: false });
    draw();
    await load();
  }

  /** Ask what can be planned, and for the definition that is to be in the form. */
  async function load() {
    const { from } = form;
    try {
      const [reply, view] = await Promise.all([get("/api/pipelines"), form.draft || !from ? null : get(of(from))]);
      if (from !== form.from || !isOpen) return;
      Object.assign(form, { pipelines: reply.pipelines, scorers: reply.scorers ?? {}, isAway: false, refused: "" });
      const place = placeIn(form.pipelines, form.draft?.pipeline ?? "embedded", form.draft?.stage ?? "txt2img");
      if (!form.draft) form.draft = view ? await copied(view, from) : newDraft(place.pipeline, place.stage);
      change({}, { isTyped: false });
    } catch (error) {
      if (isOpen) refuse(error);
    }
  }

  async function copied(view, from) {
    const draft = draftOf(view.definition, from);
    return { ...draft, name: await free(view.definition.name) };
  }

  /** Return a name that no experiment has; who cannot be asked does not keep anybody from running it. */
  async function free(name) {
    const stem = name.replace(/ \d+$/, "").slice(0, 200);
    const { names } = await get(`/api/names?${new URLSearchParams({ search: stem })}`).catch(() => ({ names: [] }));
    return freeName(name, names);
  }

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
    clearTimeout(timers.ask);
    timers.ask = setTimeout(ask, PAUSE);
    draw();
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
    draw();
  }

  /** Put a draft of somewhere else, such as a picture, into the form. */
  function take(draft) {
    form.draft = draft;
    form.isPressed = false;
    move(draft.pipeline, draft.stage);
  }

  function startOver() {
    forget(form.from);
    Object.assign(form, { draft: null, plan: null, isPressed: false });
    if (form.from) location.hash = linkTo(["new"]);
    else load();
  }

  /** Return what is wrong with a field; what nobody has filled in yet is wrong once somebody wants to run it. */
  function problem(field) {
    return form.problems.find((one) => one.field === field && (!one.isOpen || form.isPressed)) ?? null;
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
    if (mine === asked) draw();
  }

  /** Say what is in the way: at its field, or in the card. */
  function refuse(error) {
    form.isAway = Boolean(error.isAway);
    const found = form.isAway ? { field: null, text: `${error.message}. It is asked again by itself.` } : placed(error.message);
    Object.assign(form, { plan: null, problems: found.field ? [found] : [], refused: "" });
    draw();
    if (found.field && element.querySelector(`#${CSS.escape(`${domId(found.field)}-wrong`)}`)) return soonAgain();
    form.refused = found.field ? error.message : found.text; // a sentence must stand somewhere
    form.problems = [];
    draw();
    soonAgain();
  }

  /** Return at which field a refusal belongs. */
  function placed(message) {
    if (!form.draft) return { field: null, text: message };
    const axes = form.draft.axes.filter((axis) => axis.form !== "setting" || axis.name);
    return problemOf(message, { axes, config: Object.keys(form.settings), objective: form.draft.objective });
  }

  /** Look again by itself for what is not there now. */
  function soonAgain() {
    clearTimeout(timers.again);
    if (isOpen && (form.isAway || form.spec?.unavailable || !form.spec)) timers.again = setTimeout(load, AGAIN);
  }

  async function submit(event) {
    event?.preventDefault();
    if (form.isSending || !form.draft) return;
    form.isPressed = true;
    const { definition, problems } = definitionOf(form.draft, form.spec);
    Object.assign(form, { problems });
    draw();
    if (problems.length) return focus(problems[0].field);
    form.isSending = true;
    clearTimeout(timers.ask);
    asked += 1;
    draw();
    try {
      const name = await free(definition.name);
      const view = await post("/api/experiments", { definition: { ...definition, name } });
      forget(form.from);
      if (!isOpen) return say(`${name} is planned`); // the person is elsewhere meanwhile
      location.hash = linkTo(["e", view.experiment_id, "grid"]);
      const told = () => setTimeout(say, 0, `it is called ${name}, as there is another ${definition.name}`); // on its page
      if (name !== definition.name) addEventListener("hashchange", told, { once: true });
    } catch (error) {
      refuse(error);
      focus(form.problems[0]?.field ?? "refused");
    } finally {
      form.isSending = false;
      if (isOpen) draw();
    }
  }

  function focus(field) {
    const found = document.getElementById(domId(field)) ?? document.getElementById(`${domId(field)}-form`) ?? document.getElementById(domId("refused"));
    if (found?.closest(".moresettings:not([open])")) change({ isMoreOpen: true }, { isTyped: false });
    found?.closest("details:not(.moresettings)")?.setAttribute("open", "");
    found?.focus();
    found?.scrollIntoView({ block: "center" });
  }

  function onkeydown(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  }

  function draw() {
    render(
      html`<div class="bar">
          <h1>${form.from ? "Run again with changes" : "New experiment"}</h1>
          ${form.draft ? html`${openButton(form)}<button type="button" class="plain" @click=${startOver}>Start over</button>` : ""}
        </div>
        ${form.draft ? whole(form, submit, onkeydown) : html`<p class=${form.refused ? "error" : ""}>${form.refused || "asking the runner …"}</p>`}`,
      element,
    );
  }

  return {
    element,
    go,
    update(changes) {
      if ((changes.has("system") || changes.has("connection")) && form.isAway) load(); // it may be back
    },
    close() {
      isOpen = false;
      endDrops();
      clearTimeout(timers.ask);
      clearTimeout(timers.again);
    },
  };
}

function whole(form, submit, onkeydown) {
  const isAway = Boolean(form.spec?.unavailable) || !form.spec;
  const isKnown = Object.keys(form.pipelines).length > 0;
  return html`<form class="two" novalidate @submit=${submit} @keydown=${onkeydown}>
    <div class="parts">
      <section class="part" aria-label="What is made">${isAway ? "" : subject(form)}${pipelineChoice(form)}</section>
      ${isAway && isKnown ? unavailableSection(form) : ""}
      ${isAway ? "" : html`${axesSection(form)}${amountSection(form)}${countsSection(form)}${moreSection(form)}`}
      ${keptSection(form)}
    </div>
    ${card(form, form.planned?.name ?? "")}
  </form>`;
}
