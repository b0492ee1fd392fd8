// Addresses: the part of the URL behind `#` says which view is shown, of what, and how. No page, no clock.

const VIEWS = new Set(["", "new", "system", "compare", "e"]);

/** The views of one experiment, by their word in an address. */
export const TABS = ["grid", "rate", "answer", "search"];

/**
 * Return what an address names: `{ view, id, tab, part, query }`.
 *
 * `view` is "list", "new", "system", "compare", "experiment" or "unknown"; `id` the experiment, `tab` one of `TABS`;
 * `part` is what stands behind it, such as the ids of a comparison or the place of a picture in the grid;
 * `query` is a URLSearchParams of what stands behind `?`, such as a search.
 */
export function parseRoute(hash) {
  const [path, query = ""] = splitOnce(hash.replace(/^#?\/?/, ""), "?");
  const route = { view: "unknown", id: null, tab: null, part: [], query: new URLSearchParams(query) };
  let parts;
  try {
    parts = path.split("/").map(decodeURIComponent);
  } catch {
    return route; // such as %E0%A4%A
  }
  const [kind, ...rest] = parts;
  if (!VIEWS.has(kind)) return route;
  if (kind !== "e") return kind !== "compare" && rest.length ? route : { ...route, view: kind || "list", part: rest };
  const [id, tab = "grid", ...part] = rest;
  return id && TABS.includes(tab) ? { ...route, view: "experiment", id, tab, part } : route;
}

/** Return the address of a view: `linkTo(["e", id, "grid"], { search: "x" })`; a query's empty values are left out. */
export function linkTo(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const behind = new URLSearchParams(given).toString();
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${behind && `?${behind}`}`;
}

/** Change the address without a new entry in the history of the browser; the view that is shown stays. */
export function replaceRoute(link) {
  history.replaceState(history.state, "", link);
}

function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
