// A bar for what is taken of something: memory, a disk.

import { html } from "../../base/html.js";
import { sizeText } from "../../base/text.js";

const TIGHT = 0.9; // more is said in a colour of warning, and in words

/** Return a bar with its words, of two numbers of bytes. */
export function meter(label, total, free) {
  const used = Math.max(0, total - free);
  const words = `${sizeText(free)} of ${sizeText(total)} free`;
  const isTight = used > TIGHT * total;
  return html`<div class="meter">
    <span>${label}</span><span class="facts">${isTight ? "little left: " : ""}${words}</span>
    <meter min="0" max=${total} high=${TIGHT * total} value=${used} aria-label=${`${label}: ${words}`}></meter>
  </div>`;
}
