// The form for a new experiment: its state, which all of its parts are given, and how it is drawn.

import { html, render } from "../../base/html.js";
import { asking } from "./asking.js";
import { axesSection } from "./axes.js";
import { card } from "./card.js";
import { amountSection, countsSection } from "./counts.js";
import { filling } from "./filling.js";
import { kept } from "./kept.js";
import { keptSection, moreSection } from "./more.js";
import { dropzone, openButton } from "./open.js";
import { focus, submit } from "./sending.js";
import { pipelineChoice, subject, unavailableSection } from "./subject.js";

export function planView(route) {
  const element = document.createElement("section");
  const form = {
    element, isOpen: true, draft: null, pipelines: {}, scorers: {}, spec: undefined, settings: {}, variables: {}, problems: [], plan: null, planned: null,
    refused: "", search: "", from: null, isSending: false, isPressed: false, isAway: false,
    focus: (field) => focus(form, field), problem, draw,
  };
  Object.assign(form, asking(form), filling(form));
  element.className = "newview";
  const endDrops = dropzone(element, form);
  go(route);

  /** Show the form of an address: an empty one, or one with the definition of an experiment in it. */
  async function go({ query }) {
    form.askNoMore(); // what is under way is of another form
    Object.assign(form, { from: query.get("from"), draft: kept(query.get("from")), plan: null, problems: [], refused: "", isPressed: false });
    draw();
    await form.load();
  }

  /** Return what is wrong with a field; what nobody has filled in yet is wrong once somebody wants to run it. */
  function problem(field) {
    return form.problems.find((one) => one.field === field && (!one.isOpen || form.isPressed)) ?? null;
  }

  function draw() {
    render(
      html`<div class="bar">
          <h1>${form.from ? "Run again with changes" : "New experiment"}</h1>
          ${form.draft ? html`${openButton(form)}<button type="button" class="plain" @click=${form.startOver}>Start over</button>` : ""}
        </div>
        ${form.draft ? whole(form) : html`<p class=${form.refused ? "error" : ""}>${form.refused || "asking the runner …"}</p>`}`,
      element,
    );
  }

  return {
    element,
    go,
    update(changes) {
      if ((changes.has("system") || changes.has("connection")) && form.isAway) form.load(); // it may be back
    },
    close() {
      form.isOpen = false;
      endDrops();
      form.askNoMore();
    },
  };
}

function whole(form) {
  const isAway = Boolean(form.spec?.unavailable) || !form.spec;
  const isKnown = Object.keys(form.pipelines).length > 0;
  const send = (event) => {
    event.preventDefault();
    submit(form);
  };
  const onkeydown = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event);
  return html`<form class="two" novalidate @submit=${send} @keydown=${onkeydown}>
    <div class="parts">
      <section class="part" aria-label="What is made">${isAway ? "" : subject(form)}${pipelineChoice(form)}</section>
      ${isAway && isKnown ? unavailableSection(form) : ""}
      ${isAway ? "" : html`${axesSection(form)}${amountSection(form)}${countsSection(form)}${moreSection(form)}`}
      ${keptSection(form)}
    </div>
    ${card(form, form.planned?.name ?? "")}
  </form>`;
}
