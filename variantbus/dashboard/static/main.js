// The router: the part of the URL after `#` selects the view; and the header above all views.

import { h, fill, say } from "./dom.js";
import { look, state, watch } from "./state.js";
import { answerView } from "./views/answer.js";
import { experimentsView } from "./views/experiments.js";
import { gridView } from "./views/grid.js";
import { planView } from "./views/plan.js";
import { ratingView } from "./views/rating.js";
import { systemView } from "./views/system.js";

const TABS = { grid: ["Pictures", gridView], rate: ["Rate", ratingView], answer: ["Answer", answerView] };
const view = document.getElementById("view");
let leave = () => {};

function route() {
  leave();
  const [kind, id, tab] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const opened = kind === "e" ? id : null;
  if ((state.open?.id ?? null) !== opened || !route.isReady) look(opened);
  route.isReady = true;
  if (opened) leave = show(experimentPage(opened, TABS[tab] ? tab : "grid"));
  else if (kind === "new") leave = show(planView());
  else if (kind === "system") leave = show(systemView());
  else leave = show(experimentsView());
  for (const link of document.querySelectorAll(".top nav a")) {
    const isHere = link.getAttribute("href").replace(/^#\/?/, "") === (["new", "system"].includes(kind) ? kind : "");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
}

/** Put a view's element into the page; a view is `{ element, update, close }`. */
function show({ element, update, close }) {
  fill(view, element);
  update?.(new Set(["all"]));
  const unwatch = watch((changes) => update?.(changes));
  return () => {
    unwatch();
    close?.();
  };
}

/** The frame of the views of one experiment: its name, its state, the tabs. */
function experimentPage(id, tab) {
  const title = h("h1");
  const facts = h("p", { class: "facts" });
  const inner = TABS[tab][1](id);
  const links = Object.entries(TABS).map(([name, [text]]) =>
    h("a", { href: `#/e/${encodeURIComponent(id)}/${name}`, "aria-current": name === tab ? "page" : null }, text),
  );
  const element = h("div", { class: "experiment" }, h("div", { class: "head" }, title, facts, h("nav", { class: "tabs", "aria-label": "Experiment" }, links)), inner.element);
  return {
    element,
    update(changes) {
      const { status, error } = state.open ?? {};
      title.textContent = status?.experiment_name ?? id;
      document.title = `${status?.experiment_name ?? id} – variantbus`;
      if (error && !status) fill(facts, h("span", { class: "error" }, error));
      else if (status) {
        const t = status.totals;
        const parts = [`${t.completed} of ${t.jobs} jobs`, t.failed && `${t.failed} failed`, t.cancelled && `${t.cancelled} cancelled`, status.archived && "archived", status.search && `search: ${status.search.reason || status.search.state}`];
        fill(facts, h("span", { class: `chip ${status.status}` }, status.status), " ", parts.filter(Boolean).join(", "), " · ", h("code", {}, id));
      }
      inner.update?.(changes);
    },
    close: () => inner.close?.(),
  };
}

watch((changes) => {
  if (changes.has("deleted") && state.open?.isDeleted) {
    say(`${state.open.status?.experiment_name ?? state.open.id} was deleted`);
    location.hash = "#/";
  }
  if (!changes.has("connection") && !changes.has("system")) return;
  const live = document.getElementById("live");
  live.textContent = state.isConnected ? "live" : "connecting …";
  live.classList.toggle("on", state.isConnected);
  const away = state.system.filter((one) => !one.answers).map((one) => one.service);
  const banner = document.getElementById("banner");
  const text = !state.isConnected && route.isReady && state.isLoaded
    ? "The dashboard's server does not answer. This page goes on by itself as soon as it does."
    : away.length ? `${away.join(" and ")} ${away.length > 1 ? "do" : "does"} not answer. What is shown may be old; it is brought up to date by itself.` : "";
  banner.hidden = !text;
  if (banner.textContent !== text) banner.textContent = text;
});

window.addEventListener("hashchange", route);
route();
