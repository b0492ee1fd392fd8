// A button that opens a list of actions. The browser closes it by Escape or a click elsewhere, and nothing cuts it off.

import { html, repeat } from "./html.js";
import { icon } from "./icons.js";

const MARGIN = 8; // px to the edge of the window
let count = 0;
const ids = new WeakMap(); // of the list of actions' owner, so that it stays the same element

/**
 * Return a menu: `items` are `{ text, icon, act }`, one that is dangerous with `isDangerous`, one that leads to a page with `href`.
 *
 * `owner` is an object that stays the same as long as the menu is that of the same thing.
 */
export function menu(owner, label, items) {
  if (!ids.has(owner)) ids.set(owner, `menu-${++count}`);
  const id = ids.get(owner);
  const item = (one) =>
    one.href
      ? html`<a href=${one.href}>${icon(one.icon)}${one.text}</a>`
      : html`<button class=${one.isDangerous ? "plain danger" : "plain"} @click=${(event) => act(event, one)}>${icon(one.icon)}${one.text}</button>`;
  return html`<button class="plain opens" title=${label} aria-label=${label} popovertarget=${id}>${icon("more")}</button>
    <div class="menu" id=${id} popover @beforetoggle=${open}>${repeat(items, (one) => one.text, item)}</div>`;
}

function act(event, one) {
  event.currentTarget.closest("[popover]").hidePopover();
  one.act();
}

/** Put the list below its button, within the window. */
function open(event) {
  if (event.newState !== "open") return;
  const list = event.currentTarget;
  const at = list.previousElementSibling.getBoundingClientRect();
  list.style.setProperty("right", `${Math.max(MARGIN, innerWidth - at.right)}px`);
  const isLow = at.bottom > innerHeight * 0.7;
  list.style.setProperty("top", isLow ? "auto" : `${at.bottom + MARGIN / 2}px`);
  list.style.setProperty("bottom", isLow ? `${innerHeight - at.top + MARGIN / 2}px` : "auto");
}
