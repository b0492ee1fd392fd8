// The answer: the sentence, a plot of the estimates of each value, and the actions.

import { get, of, post } from "../../data/api.js";
import { h, s, fill } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { numberText, percent } from "../../base/text.js";
import { pictures, state } from "../../data/state.js";
import { curve, inOrder, isRuledOut } from "./curve.js";
import { archive, deleteForGood, resultsOf } from "../../experiment/putaway.js";
import { objectiveChoice } from "../../feedback/objective.js";
import { html, render } from "../../base/html.js";
import { valueKey, valueText } from "../../data/values.js";

const LINE = 34; // px
const NAMED = 12; // values in a line; more are counted
const LIKELY = 0.5; // that two variables depend on each other: less is not worth a word
const LONGEST = 40; // characters of a prompt
const JITTER = [0.5, 0.32, 0.68, 0.41, 0.59];

export function answerView(id) {
  const sentence = h("p", { class: "answer", role: "status" }, "…");
  const above = h("div", {});
  const why = h("ul", { class: "why" });
  const table = h("div", { class: "wide", role: "region", "aria-label": "Values", tabindex: 0 });
  const variables = h("div", { class: "wide", role: "region", "aria-label": "Variables", tabindex: 0, hidden: true });
  const choice = h("div", {});
  const away = h("span", { class: "row" });
  const applied = h("div", { class: "applied" });
  const element = h(
    "section",
    {},
    sentence,
    above,
    why,
    table,
    variables,
    h(
      "div",
      { class: "bar" },
      h("button", { class: "primary", onclick: apply }, "Apply"),
      ["report.html", "export.json", "export.csv"].map((name) => h("a", { class: "button", href: of(id, name), download: true }, { "report.html": "Report", "export.json": "Export JSON", "export.csv": "Export CSV" }[name])),
      h("button", { onclick: rename }, "Rename"),
      away,
      choice,
    ),
    applied,
  );
  let isAsked = false;

  async function ask() {
    if (isAsked) return;
    isAsked = true;
    try {
      state.open.recommendation = await get(of(id, "recommendation"));
    } catch (error) {
      sentence.textContent = error.message;
      return;
    }
    draw();
  }

  function draw() {
    const made = state.open?.recommendation;
    if (!made) return;
    sentence.textContent = made.sentence;
    sentence.classList.toggle("problem", Boolean(made.problem));
    render(objectiveChoice(id), choice);
    const points = seen(made.objective);
    const scale = scaleOf(made, points);
    const slowest = Math.max(...[...state.open.variants.values()].map((one) => one.duration_mean ?? 0), 1e-9);
    const variants = new Map([...state.open.variants.values()].map((one) => [one.variant_index, one]));
    const name = [...variants.values()][0]?.variable_under_test ?? "value";
    fill(above, curve(made, name, points, scale));
    variables.hidden = !made.effects?.length;
    fill(variables, made.effects?.length ? variablesTable(made, scale) : null);
    fill(why, reasons(made, state.open.status?.search).map((text) => h("li", {}, text)));
    fill(
      table,
      h(
        "table",
        { class: "plot" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "first" }, name), h("th", { scope: "col", class: "space" }, `${made.objective}: single results, estimate, 90 % interval`, axis(scale)), ["estimate", "90 % between", "n", "best with", "s per job"].map((text) => h("th", { scope: "col" }, text)), h("th", { scope: "col", class: "bars" }, "time"))),
        h("tbody", {}, inOrder(made).map((one) => row(one, variants.get(one.index), points.get(one.index) ?? [], scale, slowest, made))),
      ),
    );
  }

  function row(one, variant, points, scale, slowest, made) {
    const isChosen = made.value !== null && valueKey(made.value) === valueKey(one.value);
    const text = one.mean === null ? "no result" : `${numberText(one.mean)}, between ${numberText(one.low)} and ${numberText(one.high)}`;
    const seconds = variant?.duration_mean;
    return h(
      "tr",
      { class: isChosen ? "chosen" : "" },
      h("th", { scope: "row" }, valueText(one.value), isChosen ? " ★" : ""),
      h("td", { class: "space" }, line(one, points, scale, text)),
      h("td", {}, numberText(one.mean)),
      h("td", {}, one.low === null ? "" : `${numberText(one.low)} … ${numberText(one.high)}`),
      h("td", {}, one.n),
      h("td", {}, percent(one.p_best)),
      h("td", {}, numberText(seconds)),
      h("td", { class: "bars" }, s("svg", { height: 10, role: "presentation" }, seconds ? s("rect", { class: "bar-of", width: `${(100 * seconds) / slowest}%`, height: 10, rx: 2 }) : null)),
    );
  }

  function seen(objective) {
    const found = new Map();
    const add = (index, number) => number !== null && number !== undefined && found.set(index, [...(found.get(index) ?? []), number]);
    const metric = objective.slice(objective.indexOf(" ") + 1);
    if (objective === "stars") for (const { variant, sha256 } of pictures()) add(variant.variant_index, state.open.ratings.get(sha256)?.stars);
    else if (objective !== "preference")
      for (const [key, cell] of state.open.cells) {
        if (cell.state !== "completed") continue;
        add(Number(key.split(".")[0]), cell.metrics?.[metric] ?? (metric === "seconds" ? cell.seconds : null));
      }
    return found;
  }

  function drawAway() {
    const isArchived = state.open?.status?.archived;
    const buttons = html`<button @click=${() => archive(id, isArchived)}>${isArchived ? "Unarchive" : "Archive"}</button>
      <button class="danger" @click=${() => state.open.status && deleteForGood(state.open.status, resultsOf(state.open.variants.values()))}>Delete</button>`;
    render(buttons, away);
  }

  async function apply() {
    try {
      const response = await fetch(of(id, "job.toml"));
      const text = await response.text();
      if (!response.ok) throw new Error(JSON.parse(text).error);
      fill(applied, h("h2", {}, "The job that is ready to run"), h("pre", {}, text), h("div", { class: "bar" }, h("button", { onclick: () => navigator.clipboard.writeText(text).then(() => say("copied")) }, "Copy"), h("a", { class: "button", href: of(id, "job.toml"), download: true }, "Save"), h("code", {}, `variantbus apply ${id} --to FILE`)));
    } catch (error) {
      complain(error.message);
    }
  }

  async function rename() {
    const name = prompt("Another name", state.open.status?.experiment_name ?? "");
    if (!name) return;
    try {
      await post(of(id, "rename"), { name });
    } catch (error) {
      complain(error.message);
    }
  }

  function update(changes) {
    if (["all", "open", "status"].some((one) => changes.has(one))) drawAway();
    if (["open", "status", "variants", "recommendation"].some((one) => changes.has(one))) render(objectiveChoice(id), choice);
    if (changes.has("open") || changes.has("all")) {
      isAsked = false;
      if (state.open?.status) ask();
    }
    if (["recommendation", "ratings", "variants", "status"].some((one) => changes.has(one)) || [...changes].some((one) => one.startsWith("cell "))) draw();
  }

  return { element, update };
}

/** Return what may be the best, the likeliest first, what is ruled out, and what a search does next: as `recommend --why`. */
function reasons(made, search) {
  const ordered = inOrder(made);
  const known = ordered.filter((one) => one.p_best !== null);
  const likely = known.filter((one) => !isRuledOut(one)).sort((one, other) => other.p_best - one.p_best);
  const parts = [
    ["May be the best", likely.map((one) => `${valueText(one.value)} (${percent(one.p_best)})`)],
    ["Ruled out, each with less than 5 %", known.filter(isRuledOut).map((one) => valueText(one.value))],
    ["Never tried", ordered.filter((one) => !one.n).map((one) => valueText(one.value))],
  ];
  const together = (made.interactions ?? []).filter((one) => one.probability >= LIKELY).map((one) => `${one.names.join(" with ")} (${percent(one.probability)})`);
  parts.unshift(["What matters", (made.effects ?? []).map((one) => `${one.name} ${matters(one)}`)], ["Depend on each other", together]);
  parts.push(["Better takes longer", (made.pareto ?? []).map((one) => `${valueText(one.value)} (${numberText(one.seconds)} s, ${numberText(one.mean)})`)]);
  parts.push(["Single prompts", (made.blocks ?? []).map((one) => `under “${shortened(one.name)}” ${valueText(one.value)}${one.probability ? ` (${percent(one.probability)})` : ""}`)]);
  const lines = parts.filter(([, names]) => names.length).map(([what, names]) => `${what}: ${listed(names)}`);
  return search ? [...lines, `Search: ${search.spent} of ${search.budget} jobs, ${search.state}${search.reason ? `: ${search.reason}` : ""}`] : lines;
}

function shortened(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** Return the share of a variable in all differences between values, with its interval. */
function matters(one) {
  const alone = one.alone.mean > one.total.mean - 0.01 ? "" : `, by itself ${percent(one.alone.mean)}`;
  return `${percent(one.total.mean)} (${Math.round(100 * one.total.low)} to ${Math.round(100 * one.total.high)} %${alone})`;
}

/** Return a table of the values of each of several variables, with their means over all values of the others. */
function variablesTable(made, scale) {
  const rows = made.effects.flatMap((one) =>
    one.values.map((level, at) =>
      h(
        "tr",
        {},
        at ? h("td", {}) : h("th", { scope: "row" }, one.name), // an empty header would be read out
        h("td", {}, at ? "" : matters(one)),
        h("th", { scope: "row" }, valueText(level.value)),
        h("td", { class: "space" }, line(level, [], scale, `${numberText(level.mean)}, between ${numberText(level.low)} and ${numberText(level.high)}`)),
        h("td", {}, numberText(level.mean)),
        h("td", {}, `${numberText(level.low)} … ${numberText(level.high)}`),
      ),
    ),
  );
  const heads = [h("th", { scope: "col" }, "matters"), h("th", { scope: "col", class: "first" }, "value")];
  const space = h("th", { scope: "col", class: "space" }, "mean over all values of the others, 90 % interval", axis(scale));
  const numbers = ["on average", "90 % between"].map((text) => h("th", { scope: "col" }, text));
  return h("table", { class: "plot" }, h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "first" }, "variable"), heads, space, numbers)), h("tbody", {}, rows));
}

function listed(names) {
  return names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");
}

function line(one, points, scale, text) {
  const at = (number) => `${scale.at(number)}%`;
  return s(
    "svg",
    { height: LINE, role: "img", "aria-label": text },
    scale.ticks.map((tick) => s("line", { class: "tick", x1: at(tick), x2: at(tick), y1: -4, y2: LINE + 4 })),
    points.map((number, place) => s("circle", { class: "point", cx: at(number), cy: LINE * JITTER[place % JITTER.length], r: 3.5 })),
    one.low !== null && s("line", { class: "interval", x1: at(one.low), x2: at(one.high), y1: LINE / 2, y2: LINE / 2 }),
    one.mean !== null && s("circle", { class: "mean", cx: at(one.mean), cy: LINE / 2, r: 6 }),
  );
}

function axis(scale) {
  return s("svg", { height: 20, role: "presentation" }, scale.ticks.map((tick) => s("text", { class: "label", x: `${scale.at(tick)}%`, y: 14, "text-anchor": "middle" }, numberText(tick) || "0")));
}

/** Return a scale for all numbers, with round ticks. */
export function scaleOf(made, points) {
  const between = (low, high, ticks) => ({ ticks, at: (number) => (100 * (number - low)) / (high - low) });
  if (made.objective === "stars") return between(0.8, 5.2, [1, 2, 3, 4, 5]);
  if (made.objective === "preference") return between(-0.03, 1.03, [0, 0.25, 0.5, 0.75, 1]);
  const numbers = [...made.estimates.flatMap((one) => [one.mean, one.low, one.high]), ...[...points.values()].flat()].filter((one) => Number.isFinite(one));
  const [low, high] = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [0, 1];
  const rough = (high - low || Math.abs(high) || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((part) => part * power >= rough * (1 - 1e-9)) * power;
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step));
  const margin = (last - first) * step * 0.03;
  const ticks = Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
  return between(first * step - margin, last * step + margin, ticks);
}
