// Headings of the grid: a value with what is known of it, or a seed; and the corner, which names both axes.

import { html, render } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { blockText, conditionText, conditionWord, seedText, settingsText, valueText } from "../../data/values.js";
import { estimatesOf, factsOf } from "./scores.js";

const HEADING = { weight: 600, share: 0.9 }; // the letters, as in grid.css
const CORNER = { weight: 400, share: 0.8 };
const FACT = { weight: 400, share: 0.75 };
const LINES = 3; // of a heading, at most
const FACTS = 20; // pixels of the line below a value
const LINE = 20;
const PADDING = 14;
const ROOM = { one: 56, both: 104 }; // pixels that one or both of the facts need
const ARROW = 14; // behind the name of an axis
const SIDE = { least: 56, most: 220, share: 0.34 }; // of the headings of rows; the share is that of a narrow window

/** Return what is drawn on headings: `{ head(element, entry, isRow), corner(element), words(entry), names, height, side }`. */
export function headsOf(open, axes, settings, { cell, width, fontSize }) {
  const definition = open.status?.definition;
  const estimates = estimatesOf(open);
  const scale = fontSize / 16;
  const seeded = settings.isTurned ? axes.across : axes.down;
  const isOneSeed = seeded.every((one) => one.repeat === seeded[0]?.repeat); // told once, in the corner
  const text = (entry) => textOf(definition, axes, entry, isOneSeed);
  const facts = (entry) => (entry.kind === "seed" ? null : factsOf(open, variantsOf(open, entry), estimates));
  const lengths = axes.across.map((entry) => text(entry).lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line, fontSize) / (cell - 10))), 0));
  const lines = Math.min(Math.max(LINES, axes.names.length), Math.max(1, ...lengths));
  const hasFacts = axes.across.some((entry) => entry.kind !== "seed");
  const sayings = (entry) => [...text(entry).lines, text(entry).small].map((line) => widthOf(line, fontSize));
  const known = (entry) => widthOf(toldIn(Infinity, facts(entry)), fontSize, FACT) + (facts(entry)?.isBest ? ARROW * scale : 0);
  const widest = Math.max(...axes.down.map((entry) => Math.max(...sayings(entry), known(entry))), 0);
  const corner = cornerOf(definition, axes, settings, isOneSeed && seeded[0]);
  // the names of the axes take no more than a narrow window can spare
  const named = Math.min(Math.max(...corner.map((line) => widthOf(line.text, fontSize, CORNER) + ARROW * scale)), 0.25 * width);
  const side = Math.round(Math.max(SIDE.least * scale, Math.min(Math.max(widest, named) + (PADDING + 4) * scale, SIDE.most * scale, Math.max(SIDE.share * width, SIDE.least * scale))));
  return {
    height: Math.max(lines * LINE * scale + (hasFacts ? FACTS * scale : 0), corner.length * LINE * scale) + PADDING * scale,
    side,
    lines,
    /** Return the words of a heading, for where no elements are. */
    words: (entry) => ({ text: text(entry).lines.join(", "), small: text(entry).small }),
    names: corner.slice(0, 2).map((line) => line.text),
    head: (element, entry, isRow) => drawHead(element, entry, { ...text(entry), facts: facts(entry), limit: isRow ? rowLines(cell, entry, scale) : lines, room: (isRow ? side : cell) / scale }),
    corner: (element) => drawCorner(element, corner),
  };
}

function rowLines(cell, entry, scale) {
  return Math.max(1, Math.floor((cell - (entry.kind === "seed" ? 4 : FACTS * scale)) / (LINE * scale)));
}

function variantsOf(open, entry) {
  if (entry.kind === "value") return [open.variants.get(entry.variant.variant_index) ?? entry.variant];
  const [[name, value]] = Object.entries(entry.parts);
  return [...open.variants.values()].filter((one) => one.variant_value[name] === value);
}

function textOf(definition, axes, entry, isOneSeed) {
  if (entry.kind === "seed") {
    const block = blockText(definition, entry.repeat);
    const seed = seedText(definition, entry.repeat);
    return block ? { lines: [block], small: `seed ${seed}`, title: conditionText(definition, entry.repeat) } : { lines: [seed], small: "", title: "" };
  }
  if (entry.kind === "part") {
    const [[name, value]] = Object.entries(entry.parts);
    const small = entry.repeat === undefined || isOneSeed ? "" : conditionText(definition, entry.repeat);
    return { lines: [valueText(value)], small, title: [settingsText(definition, name, value) ?? `${name} ${valueText(value)}`, small].filter(Boolean).join("\n") };
  }
  const { variant_value: value, variable_under_test: name } = entry.variant;
  const isMap = value !== null && typeof value === "object";
  return { lines: isMap && axes.names.length ? axes.names.map((one) => valueText(value[one])) : [valueText(value)], small: "", title: settingsText(definition, name, value) ?? valueText(value) };
}

function drawHead(element, entry, { lines, limit, facts, small, title, room }) {
  element.className = `heading of-${entry.kind}${facts?.isBest ? " best" : ""}`;
  element.title = [title, facts?.isBest && "recommended", facts?.mean && `mean ${facts.mean}`, facts?.chance && `best with ${facts.chance}`].filter(Boolean).join("\n");
  element.style.setProperty("--lines", lines.length > 1 ? 1 : limit);
  element.setAttribute("aria-haspopup", "dialog");
  const told = toldIn(room, facts);
  const cup = facts?.isBest ? icon("trophy") : ""; // beside the facts, or where there is no room for them beside the value
  render(
    html`${lines.map((line, at) => html`<span class="name">${at || told ? "" : cup}${line}</span>`)}${small ? html` <small>${small}</small>` : ""}${told
      ? html` <small class="known">${cup}${told}</small>`
      : ""}`,
    element,
  );
}

/** Return what is told of a value, as far as there is room: the chance says more than the mean. */
function toldIn(room, facts) {
  if (!facts || room < ROOM.one) return "";
  return room < ROOM.both ? facts.chance || facts.mean : [facts.mean, facts.chance].filter(Boolean).join(" · ");
}

/** Return the lines of the corner: what is across, and what is down. */
function cornerOf(definition, axes, { isTurned }, only) {
  const word = conditionWord(definition);
  const name = axes.plane?.across ? axes.plane.across : axes.names.join(", ") || definition?.variable?.name || "";
  const second = axes.plane?.across ? axes.plane.down : word;
  const [across, down] = isTurned ? [second, name] : [name, second];
  const lines = [{ text: across, arrow: "→" }, { text: down, arrow: "↓" }];
  if (only?.kind === "part" && only.repeat !== undefined) lines.push({ text: conditionText(definition, only.repeat), arrow: "" });
  return lines.filter((line) => line.text);
}

function drawCorner(element, lines) {
  render(lines.map((line) => html`<span title=${line.text}><span>${line.text}</span>${line.arrow ? html` <span aria-hidden="true">${line.arrow}</span>` : ""}</span>`), element);
}

const ruler = document.createElement("canvas").getContext("2d");

/** Return about how wide a text is, in pixels: measured without a layout of the page. */
function widthOf(text, fontSize, { weight, share } = HEADING) {
  ruler.font = `${weight} ${share * fontSize}px system-ui, sans-serif`;
  return ruler.measureText(text ?? "").width;
}
