// The frame of the views of one experiment: its name, its state, the tabs.

import { html, render } from "../base/html.js";
import { linkTo } from "../base/routes.js";
import { state } from "../data/state.js";
import { answerView } from "./answer/answer.js";
import { gridView } from "./grid/grid.js";
import { ratingView } from "./rate/rating.js";

const TABS = { grid: ["Pictures", gridView], rate: ["Rate", ratingView], answer: ["Answer", answerView] };

export function experimentView({ id, tab, part, query }) {
  const head = document.createElement("div");
  const inner = TABS[tab][1](id, { part, query });
  const element = document.createElement("div");
  element.className = "experiment fills";
  head.className = "head";
  element.append(head, inner.element);

  function draw() {
    const { status, error } = state.open ?? {};
    document.title = `${status?.experiment_name ?? id} – variantbus`;
    const link = ([name, [text]]) => html`<a href=${linkTo(["e", id, name])} aria-current=${name === tab ? "page" : "false"}>${text}</a>`;
    render(
      html`<h1>${status?.experiment_name ?? id}</h1>
        <p class="facts">${status ? facts(status, id) : error ? html`<span class="error">${error}</span>` : ""}</p>
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

function facts(status, id) {
  const t = status.totals;
  const parts = [`${t.completed} of ${t.jobs} jobs`, t.failed && `${t.failed} failed`, t.cancelled && `${t.cancelled} cancelled`, status.archived && "archived", status.search && `search: ${status.search.reason || status.search.state}`];
  return html`<span class=${`chip ${status.status}`}>${status.status}</span> ${parts.filter(Boolean).join(", ")} · <code>${id}</code>`;
}
