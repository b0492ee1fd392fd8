// Parts of the viewer's page: the line above the picture, the stars, the choice of what it is compared with, the keys.

import { classMap, html, live, nothing } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { numberText } from "../../base/text.js";
import { file, isShared } from "../../data/api.js";
import { repeats, state } from "../../data/state.js";
import { conditionText, valueKey, valueText } from "../../data/values.js";
import { waiting } from "../../feedback/judging.js";
import { saveName } from "../../results/naming.js";
import { HELP } from "./keys.js";

/** Return the line above the picture; `act` has what its buttons do. */
export function barOf(one, other, { isOpen, act }) {
  return html`<header>
    <div class="about">
      <h2>${one.name}${other ? html` <span class="beside">beside ${valueText(other.variant.variant_value)}</span>` : ""}</h2>
      <p class="facts">${facts(one, other)}</p>
    </div>
    ${one.results.length > 1 ? partsOf(one, act) : ""}
    <div class="tools">
      ${tool("compare", "Compare", act.compare, { pressed: Boolean(other) })}
      ${other ? tool("swap", "Flip", act.flip) : ""}
      ${one.image ? html`<a class="button save" href=${file(one.image.sha256)} download=${saveName(one.definition, one.variant, one.repeat, one.image, one.part)} title="Save the file">${icon("download")}<span class="word">Save</span></a>` : ""}
      ${tool("sliders", "Settings", act.panel, { expanded: isOpen })}
      <details class="help">
        <summary class="button" title="Keys" aria-label="Keys">?</summary>
        <dl>${HELP.map(([key, text]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl>
      </details>
      ${tool("close", "Close", act.leave)}
    </div>
  </header>`;
}

function facts(one, other) {
  const condition = other && other.repeat !== one.repeat ? `${one.condition} beside ${other.condition}` : one.condition;
  const numbers = Object.entries(one.cell?.metrics ?? {}).map(([name, number]) => {
    const there = other?.cell?.metrics?.[name];
    return `${name} ${numberText(number)}${there === undefined ? "" : ` beside ${numberText(there)}`}`;
  });
  const reused = one.cell?.reused ? ["reused"] : [];
  return [condition, ...numbers, ...reused].join(" · ");
}

function tool(name, word, onclick, { pressed, expanded } = {}) {
  return html`<button
    class=${`tool-${word.toLowerCase()}`} title=${word} @click=${onclick}
    aria-pressed=${pressed ?? nothing} aria-expanded=${expanded ?? nothing}
  >${icon(name)}<span class="word">${word}</span></button>`;
}

function partsOf(one, act) {
  return html`<div class="parts">
    <button aria-label="The result before" @click=${() => act.turn(-1)}>${icon("left")}</button>
    <span>${one.part + 1} of ${one.results.length}</span>
    <button aria-label="The next result" @click=${() => act.turn(1)}>${icon("right")}</button>
  </div>`;
}

/** Return the choice of the second picture: any value and any seed. */
export function rivalOf(other, act) {
  const definition = other.definition;
  const recommended = state.open.recommendation?.value ?? null;
  const isBest = (one) => recommended !== null && valueKey(one.variant_value) === valueKey(recommended);
  const variants = [...state.open.variants.values()].sort((one, two) => one.variant_index - two.variant_index);
  const option = (value, text, chosen) => html`<option value=${value} .selected=${live(value === chosen)}>${text}</option>`;
  return html`<div class="rival">
    <label>Compared with
      <select aria-label="Compared with" @change=${(event) => act.rival(Number(event.target.value), other.repeat)}>
        ${variants.map((one) => option(one.variant_index, `${valueText(one.variant_value)}${isBest(one) ? " ★" : ""}`, other.variant.variant_index))}
      </select>
    </label>
    <select aria-label="Seed of the second picture" @change=${(event) => act.rival(other.variant.variant_index, Number(event.target.value))}>
      ${repeats().map((one) => option(one, conditionText(definition, one), other.repeat))}
    </select>
  </div>`;
}

/** Return the stars and the note of a picture. */
export function starsOf(one, rating, judge) {
  const given = rating?.stars ?? 0;
  if (isShared) return html`<p class="rate">${given ? html`<span class="stars" role="img" aria-label=${`${given} of 5 stars`}>${"★".repeat(given)}${"☆".repeat(5 - given)}</span> ${rating.note}` : ""}</p>`;
  const { count, trouble } = waiting();
  return html`<div class="rate" role="group" aria-label=${`Stars for ${one.name}, ${one.condition}`}>
    <div class="five">
      ${[1, 2, 3, 4, 5].map((stars) => html`<button
        class=${classMap({ star: true, given: stars <= given })} aria-label=${`${stars} ${stars === 1 ? "star" : "stars"}`}
        aria-pressed=${stars === given} ?disabled=${!one.image} @click=${() => judge.give(stars)}
      >★</button>`)}
    </div>
    <button title="Reject: one star" ?disabled=${!one.image} @click=${judge.refuse}>${icon("close")}<span class="word">Reject</span></button>
    <button title="Undo the newest stars" @click=${judge.undo}>${icon("undo")}<span class="word">Undo</span></button>
    <input
      class="note" aria-label="Note" placeholder="a note" title=${rating ? "" : "It is kept with the stars."} maxlength="2000" ?disabled=${!one.image}
      .value=${live(judge.draftOf(one.image) ?? rating?.note ?? "")} @input=${(event) => judge.typed(event.target.value)} @change=${judge.send} @keydown=${judge.key}
    />
    <span class="facts" role="status">${count ? `${count} on the way${trouble ? `: ${trouble}` : ""}` : ""}</span>
  </div>`;
}
