// What can be done with a value or a seed: a menu at its heading, and dragging the heading to another place.

import { html, render } from "../../base/html.js";
import { icon } from "../../base/icons.js";

const NEAR = 6; // pixels, up to which a press is no drag

/** Open the menu of a heading; `acts` are `{ text, symbol, act }`. It closes by Escape, or by a press anywhere else. */
export function openMenu(heading, label, acts) {
  const element = document.createElement("div");
  element.className = "headmenu";
  element.popover = "auto";
  element.setAttribute("role", "dialog");
  element.setAttribute("aria-label", label);
  const take = (act) => {
    element.hidePopover();
    act();
  };
  render(
    html`<p>${label}</p>
      ${acts.map(({ text, symbol, act }) => html`<button class="plain" @click=${() => take(act)}>${icon(symbol)}${text}</button>`)}`,
    element,
  );
  element.addEventListener("toggle", (event) => event.newState === "closed" && element.remove());
  element.addEventListener("keydown", (event) => walk(element, event));
  heading.closest(".gridview").append(element); // it goes with the view
  heading.focus({ preventScroll: true }); // where the focus comes back to
  element.showPopover();
  place(element, heading.getBoundingClientRect());
  element.querySelector("button")?.focus();
}

function walk(element, event) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...element.querySelectorAll("button")];
  buttons.at((buttons.indexOf(document.activeElement) + by) % buttons.length).focus();
}

/** Put the menu below its heading, or beside it where there is no room. */
function place(element, { left, bottom, top }) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const below = bottom + height + 8 < innerHeight;
  element.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  element.style.top = `${below ? bottom + 4 : Math.max(8, top - height - 4)}px`;
}

/**
 * Let headings be dragged by a mouse or a pen; a finger scrolls, and has the menu.
 *
 * `spotOf(target)` returns the place of a heading, or null; `moved(from, to)` is called with two of one axis.
 */
export function dragHeadings(grid, spotOf, moved) {
  let from = null;
  let over = null;

  function headingAt(event) {
    const heading = event.target.closest?.(".heading");
    const spot = heading && spotOf(heading);
    const isSame = spot && from && (spot.row < 0) === (from.spot.row < 0);
    return isSame || !from ? heading : null;
  }

  function mark(heading) {
    if (over === heading) return;
    over?.classList.remove("target");
    over = heading;
    over?.classList.add("target");
  }

  grid.addEventListener("pointerdown", (event) => {
    const heading = event.button === 0 && event.pointerType !== "touch" ? headingAt(event) : null;
    if (heading) from = { heading, spot: spotOf(heading), x: event.clientX, y: event.clientY, isDragged: false };
  });
  grid.addEventListener("pointermove", (event) => {
    if (!from) return;
    if (!event.buttons) return end();
    from.isDragged ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > NEAR;
    if (!from.isDragged) return;
    grid.classList.add("dragging");
    from.heading.classList.add("dragged");
    mark(headingAt(event));
  });
  grid.addEventListener("pointerup", (event) => {
    const [begun, heading] = [from, from?.isDragged ? headingAt(event) : null];
    end();
    if (!begun?.isDragged) return;
    const ignore = (click) => click.stopPropagation();
    addEventListener("click", ignore, { capture: true }); // the one that follows is no wish for the menu
    setTimeout(() => {
      removeEventListener("click", ignore, { capture: true });
      if (heading && heading !== begun.heading) moved(begun.spot, spotOf(heading));
    });
  });

  function end() {
    from?.heading.classList.remove("dragged");
    grid.classList.remove("dragging");
    from = null;
    mark(null);
  }
}
