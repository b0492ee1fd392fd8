// The shell of the page that others see by a link: one experiment, its pictures and its answer, and nothing to change.

import { drawConnection, startHeader } from "./base/shell.js";
import { parseRoute } from "./base/routes.js";
import { rememberScroll } from "./base/scroll.js";
import { endToasts } from "./base/toast.js";
import { get } from "./data/api.js";
import { look } from "./data/following.js";
import { live, state, watch } from "./data/state.js";
import { sharedView } from "./views/shared.js";

const TABS = new Set(["grid", "answer"]);
const id = document.querySelector('meta[name="experiment"]').content;
const view = document.getElementById("view");
const arrive = rememberScroll(view);
let shown = null; // { tab, made, unwatch }

/** Show what the address says of this experiment; all else is its pictures. */
function goHere() {
  const asked = parseRoute(location.hash);
  const isOurs = asked.view === "experiment" && asked.id === id && TABS.has(asked.tab);
  const route = isOurs ? asked : { ...asked, view: "experiment", id, tab: "grid", part: [] };
  if (shown?.tab === route.tab && shown.made.go) {
    shown.made.go(route);
    return arrive(shown.made.element, true);
  }
  shown?.unwatch();
  shown?.made.close();
  endToasts();
  const made = sharedView(route);
  view.replaceChildren(made.element);
  made.update(new Set(["all"]));
  shown = { tab: route.tab, made, unwatch: watch((changes) => made.update(changes)) };
  arrive(made.element);
}

/** The feed ends, too, when the link is revoked. */
function ask() {
  get("/api/experiments").catch((error) => error.status === 404 && location.reload());
}

watch((changes) => {
  if (changes.has("deleted") && state.open?.isDeleted) location.reload(); // the server says that the link holds no more
  if (changes.has("connection") && !state.isConnected) ask();
  if (changes.has("connection") || changes.has("system")) drawConnection(live());
});

addEventListener("hashchange", goHere);
startHeader(view);
look(id);
goHere();
