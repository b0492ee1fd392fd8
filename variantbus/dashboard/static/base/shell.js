// What the shells of all pages share: the header's switch of colours and its word of the connection, and the way to the content.

import { html, render } from "./html.js";
import { icon } from "./icons.js";
import { applyTheme, theme, turnTheme } from "./theme.js";

const COLOURS = { system: "Colours: as the system says", light: "Colours: light", dark: "Colours: dark" };
const ICONS = { system: "half", light: "light", dark: "dark" };

/** Set up the header; `view` is the element to which the skip link leads. */
export function startHeader(view) {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // an address behind # is one of a view
    view.focus();
  });
  document.getElementById("theme").addEventListener("click", () => (turnTheme(), drawTheme()));
  drawTheme();
}

/** Show whether the page is up to date: `{ isLive, text, sentence }`. */
export function drawConnection({ isLive, text, sentence }) {
  const word = document.getElementById("live");
  word.textContent = text;
  word.classList.toggle("on", isLive);
  const banner = document.getElementById("banner");
  banner.hidden = !sentence;
  if (banner.textContent !== sentence) banner.textContent = sentence;
}

function drawTheme() {
  applyTheme();
  const button = document.getElementById("theme");
  button.title = COLOURS[theme()];
  button.setAttribute("aria-label", COLOURS[theme()]);
  render(html`${icon(ICONS[theme()])}`, button);
}
