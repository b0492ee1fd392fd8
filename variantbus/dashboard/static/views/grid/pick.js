// Stars for the mouse: five of them at the foot of the cell below the pointer. Keys and fingers have other ways.

import { html, render } from "../../base/html.js";

const LEAST = 90; // pixels of a cell, below which they would cover the picture

/** Offer stars over cells with a picture; `rate(cell, stars)` is called with what is chosen. */
export function offerStars(grid, { canRate, rate }) {
  const element = document.createElement("div");
  element.className = "pick";
  element.setAttribute("aria-hidden", "true"); // the keys 1 to 5 do the same
  const star = (count) => html`<button tabindex="-1" title=${`${count} of 5 stars`} @click=${(event) => take(event, count)}>★</button>`;
  render([5, 4, 3, 2, 1].map(star), element);

  function take(event, count) {
    event.stopPropagation(); // the picture is not opened
    rate(element.closest(".cell"), count);
  }

  grid.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const cell = event.target.closest(".cell");
    if (!cell || cell.offsetWidth < LEAST || !canRate(cell)) element.remove();
    else if (element.parentElement !== cell) cell.append(element);
  });
  grid.addEventListener("pointerleave", () => element.remove());
}
