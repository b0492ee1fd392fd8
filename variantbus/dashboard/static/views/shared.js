// The frame of an experiment that others see by a link.

import { html, nothing, render } from "../base/html.js";
import { linkTo } from "../base/routes.js";
import { hasEnded } from "../data/known.js";
import { state } from "../data/state.js";
import { endedJobs, inShort, timeLeft } from "../experiment/facts.js";
import { AnswerView } from "./answer/answer.js";
import { GridView } from "./grid/grid.js";

const TABS = { grid: ["Pictures", GridView], answer: ["Answer", AnswerView] };

export function sharedView({ id, tab, part, query }) {
  const [, View] = TABS[tab];
  const inner = new View(id, { part, query });
  const head = document.createElement("div");
  const element = document.createElement("div");
  element.className = "experiment fills";
  head.className = "head";
  element.append(head, inner.element);

  function draw() {
    const { status, error } = state.open ?? {};
    if (status) document.title = `${status.experiment_name} – variantbus`;
    const link = ([name, [text]]) => html`<a href=${linkTo(["e", id, name])} aria-current=${name === tab ? "page" : "false"}>${text}</a>`;
    render(
      html`<div class="title"><h1>${status?.experiment_name ?? "…"}</h1></div>
        <p class="facts">${status ? facts(status) : error ? html`<span class="error">${error}</span>` : "…"}</p>
        ${status ? html`<p class="facts inshort">${inShort(status.definition).join(" · ")}</p>` : nothing}
        <nav class="tabs" aria-label="Experiment">${Object.entries(TABS).map(link)}</nav>`,
      head,
    );
  }

  return {
    element,
    update(changes) {
      if (["all", "open", "status"].some((one) => changes.has(one))) draw();
      inner.update?.(changes);
    },
    go: inner.go && ((route) => inner.go(route)),
    close: () => inner.close?.(),
  };
}

function facts(status) {
  const { totals: t } = status;
  const done = hasEnded(status) && t.completed === t.jobs ? `${t.jobs} ${t.jobs === 1 ? "picture" : "pictures"}` : `${endedJobs(status)} of ${t.jobs} done`;
  const parts = [done, t.failed && `${t.failed} failed`, timeLeft(status)];
  return html`<span class=${`chip ${status.status}`}>${status.status}</span> ${parts.filter(Boolean).join(" · ")}`;
}
