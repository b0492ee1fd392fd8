// Short messages in the header, where they cover nothing. They belong to the page on which they came up.

import { html, render, repeat } from "./html.js";

const SECONDS = { done: 4, error: 10, offer: 5 };
const MOST = 2; // at a time
let shown = [];
let places = [document.getElementById("said")]; // the last one is used

/** Say that something is done. */
export function say(text) {
  add({ text, kind: "done" });
}

/** Say what went wrong, in a sentence that tells what to do. */
export function complain(text) {
  add({ text, kind: "error" });
}

/** Do something in five seconds, or when this page is left or closed, unless the person takes it back meanwhile. */
export function offer(text, { act, undone = () => {} }) {
  add({ text, kind: "offer", act, undone });
}

/** The page is left: its messages end, and what waits for its five seconds is done. */
export function endToasts() {
  for (const one of [...shown]) end(one);
}

/** Show messages in an element above the header, as in a dialog that fills the window; return the function that ends this. */
export function saidIn(element) {
  places = [...places, element];
  draw();
  return () => {
    places = places.filter((one) => one !== element);
    draw();
  };
}

addEventListener("pagehide", endToasts);

function add(one) {
  shown.push(one);
  one.timer = setTimeout(() => end(one), 1000 * SECONDS[one.kind]);
  while (shown.length > MOST) end(shown.slice(0, -1).find((other) => other.kind !== "offer") ?? shown[0]); // an offer keeps its five seconds
  draw();
}

function end(one, isUndone = false) {
  if (!shown.includes(one)) return;
  clearTimeout(one.timer);
  shown = shown.filter((other) => other !== one);
  draw();
  if (isUndone) one.undone();
  else one.act?.();
}

function draw() {
  const line = (one) => html`<p class=${one.kind}>
    <span>${one.text}</span>
    ${one.kind === "offer" ? html`<button @click=${() => end(one, true)}>Undo</button>` : ""}
    ${one.kind === "error" ? html`<button class="plain" aria-label="Close the message" @click=${() => end(one)}>×</button>` : ""}
  </p>`;
  const innermost = places.at(-1);
  for (const place of places) render(place === innermost ? repeat(shown, (one) => one, line) : "", place);
}
