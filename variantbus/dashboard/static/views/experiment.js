// The frame of the views of one experiment: its name, its state, what was run, and the tabs.

import { html, nothing, ref, render } from "../base/html.js";
import { icon } from "../base/icons.js";
import { menu } from "../base/menu.js";
import { linkTo } from "../base/routes.js";
import { complain } from "../base/toast.js";
import { of, post } from "../data/api.js";
import { hasEnded } from "../data/known.js";
import { state } from "../data/state.js";
import { allSettings, endedJobs, inShort, timeLeft } from "../experiment/facts.js";
import { archive, deleteForGood, resultsOf } from "../experiment/putaway.js";
import { AnswerView } from "./answer/answer.js";
import { GridView } from "./grid/grid.js";
import { RatingView } from "./rate/rating.js";
import { SearchView } from "./search/search.js";
import { shareButton } from "./share/button.js";

const TABS = { grid: ["Pictures", GridView], rate: ["Rate", RatingView], answer: ["Answer", AnswerView], search: ["Search", SearchView] };

export function experimentView({ id, tab, part, query }) {
  let isRenamed = false; // by a person who types a name now
  const head = document.createElement("div");
  const [, View] = TABS[tab];
  const inner = new View(id, { part, query });
  const element = document.createElement("div");
  element.className = "experiment fills";
  head.className = "head";
  element.append(head, inner.element);

  function draw() {
    const { status, error, isMissing } = state.open ?? {};
    document.title = `${isMissing && !status ? "Not found" : (status?.experiment_name ?? id)} – variantbus`;
    inner.element.hidden = Boolean(isMissing && !status);
    if (inner.element.hidden) return render(missing(id), head);
    const link = ([name, [text]]) => html`<a href=${linkTo(["e", id, name])} aria-current=${name === tab ? "page" : "false"}>${text}</a>`;
    render(
      html`<div class="title">${title(status)}${status ? actions(id, status, element) : nothing}</div>
        <p class="facts">${status ? facts(status, tab === "rate") : error ? html`<span class="error">${error}</span>` : "…"}</p>
        ${status ? ran(id, status.definition) : nothing}
        <nav class="tabs" aria-label="Experiment">${Object.entries(TABS).filter(([name]) => name !== "search" || name === tab || status?.search).map(link)}</nav>`,
      head,
    );
  }

  function title(status) {
    const name = status?.experiment_name ?? id;
    if (isRenamed) return renaming(name);
    const edit = html`<button class="plain rename" title="Rename" aria-label="Rename" @click=${() => rename(true)}>${icon("edit")}</button>`;
    return html`<h1>${name}</h1>${status ? edit : nothing}`;
  }

  function renaming(name) {
    const keys = (event) => event.key === "Escape" && rename(false);
    return html`<h1 class="renamed">${name}</h1><form class="renaming" @submit=${save} @keydown=${keys}>
      <input name="name" .defaultValue=${name} aria-label="Name" maxlength="200" required autocomplete="off" ${ref(selected)} />
      <button class="primary">Save</button><button type="button" @click=${() => rename(false)}>Cancel</button>
    </form>`;
  }

  function rename(isOn) {
    isRenamed = isOn;
    draw();
    if (!isOn) head.querySelector(".rename")?.focus();
  }

  async function save(event) {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    if (!name) return;
    try {
      await post(of(id, "rename"), { name });
      if (element.isConnected) rename(false);
    } catch (error) {
      complain(error.message);
    }
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

/** Return what can be done with an experiment; its menu is for the `element` of the view. */
function actions(id, status, element) {
  const items = [
    { text: status.archived ? "Take out of the archive" : "Archive", icon: "archive", act: () => archive(id, status.archived) },
    { text: "Delete …", icon: "trash", isDangerous: true, act: () => deleteForGood(status, resultsOf(state.open.variants.values())) },
  ];
  return html`<span class="actions">
    ${shareButton(id)}
    <a class="button" href=${linkTo(["new"], { from: id })} title="Run again with changes">${icon("retry")}<span>Run again with changes</span></a>
    ${menu(element, "More", items)}
  </span>`;
}

/** Mark all of a field when it comes up, and not again: a view is drawn again and again. */
function selected(input) {
  if (input) requestAnimationFrame(() => input.select());
}

function missing(id) {
  return html`<h1>There is no such experiment</h1>
    <p>None has the id <code>${id}</code>; it may have been deleted. <a href="#/">See all experiments</a>.</p>`;
}

function facts(status, isBlind) {
  const { totals: t, search } = status;
  const isOver = hasEnded(status);
  const parts = [
    isOver && t.completed === t.jobs ? `${t.jobs} ${t.jobs === 1 ? "job" : "jobs"}` : `${endedJobs(status)} of ${t.jobs} jobs`,
    t.failed && `${t.failed} failed`,
    t.cancelled && `${t.cancelled} cancelled`,
    timeLeft(status),
    status.archived && "archived",
    search && searchText(search, isBlind),
  ];
  return html`<span class=${`chip ${status.status}`}>${status.status}</span> ${parts.filter(Boolean).join(" · ")}`;
}

/** Return what a search does; which values it tries is not told to those who rate without knowing them. */
function searchText({ state: now, reason }, isBlind) {
  if (reason && !isBlind) return `search: ${reason}`;
  return now === "searching" ? now : `search: ${now}`;
}

/** What was run, in a line that unfolds to all settings. */
function ran(id, definition) {
  const row = ([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`;
  return html`<details class="ran">
    <summary><span class="short">${inShort(definition).join(" · ")}</span></summary>
    <div class="all" tabindex="0" role="region" aria-label="All settings"><dl>${[...allSettings(definition), ["id", id]].map(row)}</dl></div>
  </details>`;
}
