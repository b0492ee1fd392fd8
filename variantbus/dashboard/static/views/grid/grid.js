// The live grid: columns are values and rows are seeds, or the other way round. Only visible cells are in the page.

import { of, post } from "../../data/api.js";
import { fill, h, stars } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { fileName } from "../../results/media.js";
import { numberText } from "../../base/text.js";
import { cellKey, repeats, state, unknownState } from "../../data/state.js";
import { askedAbout, lengthText, tileOf } from "../../results/media.js";
import { previewOf } from "./preview.js";
import { planeChooser } from "./planes.js";
import { openViewer } from "../viewer/viewer.js";
import { blockText, conditionText, conditionWord, listed, seedText, settingsText, valueKey, valueText } from "../../data/values.js";

const FILES = 3; // names in a cell
const MARGIN = 1; // cells beyond the visible ones
const SIZE = { least: 56, most: 400, usual: 150, key: "cell size" };

export function gridView(id) {
  let size = Number(localStorage.getItem(SIZE.key)) || SIZE.usual;
  let isTurned = false;
  const painted = new Map(); // key -> element
  const corner = h("div", { class: "corner" });
  const columns = h("div", { class: "columns", role: "row" });
  const rows = h("div", { class: "rows" });
  const cells = h("div", { class: "cells" });
  const grid = h("div", { class: "grid", role: "region", "aria-label": "Pictures", tabindex: 0, onscroll: paint }, corner, columns, rows, cells);
  const sort = h("select", { "aria-label": "Order", onchange: layout }, option("plan", "in the order of the plan"), option("best", "best first"), option("fast", "fastest first"));
  const filter = h("select", { "aria-label": "Show", onchange: layout }, option("", "all values"), option("failed", "with failures"), option("warned", "with warnings"), option("unrated", "not rated yet"));
  const slider = h("input", { type: "range", min: SIZE.least, max: SIZE.most, value: size, "aria-label": "Size of pictures", oninput: () => resize(Number(slider.value)) });
  const tools = h(
    "div",
    { class: "bar tools" },
    slider,
    sort,
    filter,
    h("button", { onclick: () => ((isTurned = !isTurned), layout()) }, "Turn"),
    h("span", { class: "space" }),
    h("button", { onclick: () => change("retry", "the failed jobs run once more") }, "Retry failed"),
    h("button", { onclick: extend }, "Extend"),
    h("button", { onclick: () => change("cancel", "cancelling") }, "Cancel"),
  );
  const planes = planeChooser(layout);
  let fixed = {}; // the values of the variables that are not shown
  const element = h("section", { class: "gridview" }, tools, planes.element, grid);
  const observer = new ResizeObserver(() => paint());
  observer.observe(grid);
  let shown = { across: [], down: [] };
  let isWaiting = false;

  function option(value, text) {
    return h("option", { value }, text);
  }

  /** Return the variants in the selected order. */
  function chosen() {
    const variants = [...state.open.variants.values()];
    const estimates = new Map((state.open.recommendation?.estimates ?? []).map((one) => [valueKey(one.value), one]));
    const best = (one) => estimates.get(valueKey(one.variant_value))?.p_best ?? one.rating?.mean ?? -1;
    variants.sort((one, other) => one.variant_index - other.variant_index);
    if (sort.value === "best") variants.sort((one, other) => best(other) - best(one));
    if (sort.value === "fast") variants.sort((one, other) => (one.duration_mean ?? Infinity) - (other.duration_mean ?? Infinity));
    const tests = {
      failed: (one) => one.failed > 0,
      warned: (one) => (one.warned ?? 0) > 0,
      unrated: (one) => askedAbout(one.images).some((image) => !state.open.ratings.has(image.sha256)),
    };
    return filter.value ? variants.filter(tests[filter.value]) : variants;
  }

  /** Return the two axes: values and seeds; of a grid the values of two variables, those of the second with seeds. */
  function axes(variants) {
    const seeds = repeats().map((repeat) => ({ kind: "seed", repeat, parts: {} }));
    const isGrid = sort.value === "plan" && !filter.value && typeof variants[0]?.variant_value === "object";
    const plane = isGrid ? planes.take(variants.map((one) => one.variant_value)) : planes.hide();
    if (plane === null) return [variants.map((one) => ({ kind: "value", variant: one })), seeds];
    fixed = plane.fixed;
    const [first, second] = plane.names.map((name) => plane.parts.get(name).map((value) => ({ kind: "part", parts: { [name]: value } })));
    return [first, second.flatMap((one) => seeds.map((seed) => ({ ...one, repeat: seed.repeat })))];
  }

  function layout() {
    const [values, seeds] = axes(chosen());
    shown = isTurned ? { across: seeds, down: values } : { across: values, down: seeds };
    element.style.setProperty("--cell", `${size}px`);
    cells.style.width = `${shown.across.length * size}px`;
    cells.style.height = `${shown.down.length * size}px`;
    fill(columns, shown.across.map((one) => heading(one, "columnheader")));
    fill(rows, shown.down.map((one) => heading(one, "rowheader")));
    const name = state.open.status ? [...state.open.variants.values()][0]?.variable_under_test ?? "" : "";
    fill(corner, h("span", {}, isTurned ? conditionWord(state.open.status?.definition) : name));
    for (const one of painted.values()) one.remove();
    painted.clear();
    paint();
  }

  function heading(one, role) {
    const definition = state.open.status?.definition;
    const block = blockText(definition, one.repeat ?? 0);
    const title = block ? conditionText(definition, one.repeat ?? 0) : null;
    if (one.kind === "seed") return h("div", { class: "heading", role, title }, block ? h("span", { class: "block" }, block) : seedText(definition, one.repeat), block && h("small", {}, ` seed ${seedText(definition, one.repeat)}`));
    const sets = Object.entries(one.parts ?? {}).map(([name, value]) => settingsText(definition, name, value))[0];
    if (one.kind === "part") return h("div", { class: "heading", role, title: [sets, title].filter(Boolean).join("\n") || null }, valueText(one.parts), one.repeat !== undefined && h("small", {}, ` ${conditionText(definition, one.repeat)}`));
    const variant = one.variant;
    const recommended = state.open.recommendation?.value;
    const isBest = recommended !== null && recommended !== undefined && valueKey(recommended) === valueKey(variant.variant_value);
    return h("div", { class: `heading${isBest ? " best" : ""}`, role, title: settingsText(definition, variant.variable_under_test, variant.variant_value) ?? valueText(variant.variant_value) }, valueText(variant.variant_value), isBest ? " ★" : "");
  }

  function paint() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      if (!state.open) return;
      const left = grid.scrollLeft, top = grid.scrollTop;
      const [first, last] = span(left, grid.clientWidth, shown.across.length);
      const [above, below] = span(top, grid.clientHeight, shown.down.length);
      const wanted = new Set();
      for (let row = above; row < below; row += 1) {
        for (let column = first; column < last; column += 1) {
          const place = at(column, row);
          wanted.add(place.key);
          if (!painted.has(place.key)) add(place, column, row);
          else if (state.open.cells.get(place.key)?.preview) paintCell(painted.get(place.key), place); // it may have come into sight
        }
      }
      for (const [key, one] of painted) {
        if (wanted.has(key)) continue;
        one.remove();
        painted.delete(key);
      }
    });
  }

  function span(from, length, count) {
    return [Math.max(0, Math.floor(from / size) - MARGIN), Math.min(count, Math.ceil((from + length) / size) + MARGIN)];
  }

  function at(column, row) {
    const [one, other] = [shown.across[column], shown.down[row]];
    const variant = one.variant ?? other.variant ?? variantOf({ ...fixed, ...one.parts, ...other.parts });
    const repeat = one.repeat ?? other.repeat;
    return { variant, repeat, key: variant ? cellKey(variant.variant_index, repeat) : `none ${column} ${row}` };
  }

  /** Return the variant at a point of a grid; an adaptive experiment has not tried all of them. */
  function variantOf(parts) {
    const names = Object.keys(parts);
    return [...state.open.variants.values()].find((one) => names.every((name) => one.variant_value[name] === parts[name]));
  }

  function add(place, column, row) {
    if (!place.variant) return;
    const one = h("button", { class: "cell", onclick: () => openViewer({ across: shown.across, down: shown.down, column, row, at }) });
    one.style.transform = `translate(${column * size}px, ${row * size}px)`;
    one.dataset.key = place.key;
    painted.set(place.key, one);
    cells.append(one);
    paintCell(one, place);
  }

  function paintCell(one, place) {
    const known = state.open.cells.get(place.key) ?? { state: unknownState(), images: [], warnings: [], progress: 0, metrics: {} };
    const asked = askedAbout(known.images ?? []);
    const [image] = asked;
    one.className = `cell ${known.state}${known.warnings?.length ? " warned" : ""}`;
    one.setAttribute("aria-label", `${valueText(place.variant.variant_value)}, ${conditionText(state.open.status?.definition, place.repeat)}: ${known.error ?? known.state}`);
    if (image) {
      const rating = state.open.ratings.get(image.sha256);
      const tile = tileOf(image);
      if (!tile.src) tile.append(...measured(known).map((line) => `\n${line}`));
      const present = one.querySelector("img:not(.so-far)");
      const shown = present && present.getAttribute("src") === tile.getAttribute("src") ? present : tile;
      const length = [asked.length > 1 && `${asked.length} results`, lengthText(image)].filter(Boolean).join(" · ");
      fill(one, unloaded(one, shown), shown, rating && stars(rating.stars), length && h("span", { class: "mark length" }, length), known.reused && h("span", { class: "mark", title: "an earlier job made it" }, "reused"), known.warnings?.length ? h("span", { class: "mark warn", title: known.warnings.join("\n") }, "!") : null);
      one.title = measured(known).join("\n");
    } else if (known.state === "running") fill(one, previewOf(one, known, () => paintCell(one, place)), h("progress", { max: 1, value: known.progress || null }));
    else fill(one, h("span", { class: "word" }, known.error ?? (known.state === "completed" ? results(known) : known.state)));
  }

  /** Return what a job without a picture has given: the names of its files, and its metrics. */
  function results(known) {
    const names = [...new Set(known.images.map(fileName))];
    const lines = [...names.slice(0, FILES), names.length > FILES && `and ${names.length - FILES} more`, ...measured(known)];
    return lines.filter(Boolean).join("\n") || "no result";
  }

  /** Return the metrics of a job, a line each. */
  function measured(known) {
    return Object.entries(known.metrics ?? {}).map(([name, number]) => `${name} ${numberText(number)}`);
  }

  /** Return the preview that stays in a cell until its picture is loaded, null if there is none. */
  function unloaded(one, img) {
    const before = img.complete !== false ? null : one.querySelector(".so-far");
    if (before) img.onload = img.onerror = () => before.remove();
    return before;
  }

  function resize(to) {
    const ratio = to / size;
    const [left, top] = [grid.scrollLeft * ratio, grid.scrollTop * ratio];
    size = to;
    localStorage.setItem(SIZE.key, String(to));
    layout();
    grid.scrollTo(left, top);
  }

  async function change(what, said, body = {}) {
    try {
      await post(of(id, what), body);
      say(said);
    } catch (error) {
      complain(error.message);
    }
  }

  function extend() {
    const definition = state.open.status.definition;
    const names = definition.variable ? [definition.variable.name] : definition.variables.map((one) => one.name);
    const inputs = names.map((name) => h("input", { name, placeholder: `3, 6 or red, "a, b", ""` }));
    const seeds = h("input", { type: "number", min: definition.jobs_per_variant ?? 1, max: 256, value: definition.jobs_per_variant ?? 1 });
    const dialog = h(
      "dialog",
      { class: "small", onclose: () => dialog.remove() },
      h("form", { method: "dialog", onsubmit: send }, h("h2", {}, "Extend"), names.map((name, place) => h("label", { class: "field" }, h("span", {}, `More values of ${name}`), inputs[place])), h("label", { class: "field" }, h("span", {}, "Seeds for each value"), seeds), h("div", { class: "row" }, h("button", { class: "primary", value: "ok" }, "Plan them"), h("button", { value: "no", formnovalidate: true }, "Leave"))),
    );
    document.body.append(dialog);
    dialog.showModal();
    function send(event) {
      if (event.submitter?.value !== "ok") return;
      const values = {};
      try {
        inputs.forEach((input, place) => {
          const more = listed(input.value);
          if (more.length) values[names[place]] = more;
        });
      } catch (error) {
        event.preventDefault(); // what was typed stays
        return complain(error.message);
      }
      change("extend", "planned", { values, jobs_per_variant: Number(seeds.value) });
    }
  }

  function update(changes) {
    const isSorted = sort.value !== "plan" || filter.value !== "";
    const isTold = changes.has("variants") || changes.has("recommendation");
    if (changes.has("all") || changes.has("open") || (isTold && isSorted) || differs()) return layout();
    if (isTold) fill(isTurned ? rows : columns, (isTurned ? shown.down : shown.across).map((one) => heading(one, isTurned ? "rowheader" : "columnheader")));
    const keys = changes.has("ratings") ? [...painted.keys()] : [...changes].filter((one) => one.startsWith("cell ")).map((one) => one.slice(5));
    for (const key of keys) {
      const one = painted.get(key);
      const [index, repeat] = key.split(".").map(Number);
      if (one) paintCell(one, { key, repeat, variant: state.open.variants.get(index) });
    }
  }

  /** Return whether variants or seeds have changed since they were drawn. */
  function differs() {
    const [values, seeds] = axes(chosen());
    const [across, down] = isTurned ? [seeds, values] : [values, seeds];
    return across.length !== shown.across.length || down.length !== shown.down.length;
  }

  return { element, update, close: () => observer.disconnect() };
}
