// The shell: the header above all views, and the router that shows the view of an address.

import { html, render } from "./base/html.js";
import { icon } from "./base/icons.js";
import { parseRoute } from "./base/routes.js";
import { rememberScroll } from "./base/scroll.js";
import { drawConnection, startHeader } from "./base/shell.js";
import { endToasts, say } from "./base/toast.js";
import { look } from "./data/following.js";
import { live, state, watch } from "./data/state.js";
import { compareView } from "./views/compare/compare.js";
import { experimentView } from "./views/experiment.js";
import { ExperimentsView } from "./views/list/experiments.js";
import { planView } from "./views/form/plan.js";
import { SystemView } from "./views/system/system.js";
import { unknownView } from "./views/unknown.js";

const TITLES = { list: "Experiments", new: "New experiment", system: "System", compare: "Compare", unknown: "Not found" };
const MAIN = [
  { view: "list", href: "#/", text: "Experiments", icon: "list" },
  { view: "new", href: "#/new", text: "New", icon: "plus" },
  { view: "system", href: "#/system", text: "System", icon: "system" },
];
const MAKERS = {
  list: (route) => new ExperimentsView(route),
  new: (route) => planView(route),
  system: () => new SystemView(),
  compare: (route) => compareView(route),
  experiment: (route) => experimentView(route),
  unknown: () => unknownView(),
};
const view = document.getElementById("view");
const arrive = rememberScroll(view);
let shown = null; // { route, view, leave }

/** Show the view of the address; a view that is shown already is told where in it the address points. */
function goHere() {
  const route = parseRoute(location.hash);
  if (shown?.view.go && isSame(shown.route, route)) {
    shown.route = route;
    shown.view.go(route);
    return arrive(shown.view.element, true);
  }
  shown?.leave();
  endToasts();
  const opened = route.view === "experiment" ? route.id : null;
  if (!shown || (state.open?.id ?? null) !== opened) look(opened);
  document.title = `${TITLES[route.view] ?? opened} – variantbus`;
  shown = { route, ...show(MAKERS[route.view](route)) };
  arrive(shown.view.element);
  drawMain(route.view);
}

/** Return whether two addresses are of one view that can be told where to go. */
function isSame(one, other) {
  return one.view === other.view && one.id === other.id && one.tab === other.tab;
}

/** Put a view's element into the page; a view is `{ element, update, go, close }`, all but the first if it needs them. */
function show(made) {
  view.replaceChildren(made.element);
  made.update?.(new Set(["all"]));
  const unwatch = watch((changes) => made.update?.(changes));
  return {
    view: made,
    leave() {
      unwatch();
      made.close?.();
    },
  };
}

function drawMain(here) {
  const link = (one) =>
    html`<a href=${one.href} title=${one.text} aria-current=${one.view === here ? "page" : "false"}>${icon(one.icon)}<span>${one.text}</span></a>`;
  render(MAIN.map(link), document.getElementById("main"));
}

watch((changes) => {
  if (changes.has("deleted") && state.open?.isDeleted) {
    const name = state.open.status?.experiment_name ?? state.open.id;
    location.replace("#/");
    addEventListener("hashchange", () => say(`${name} was deleted`), { once: true });
  }
  if (changes.has("connection") || changes.has("system")) drawConnection(live());
});

addEventListener("hashchange", goHere);
startHeader(view);
goHere();
