// Dialogs above the page. The browser keeps the focus inside, closes them by Escape and gives the focus back.

import { html, render } from "./html.js";

/**
 * Open a dialog with what `template(close)` returns, and return `{ element, draw, close }`; `draw` renders it again.
 * `template` gets a function that closes it. `label` is its name for a screen reader, `kind` its CSS class,
 * and `onclose` is called once it is closed, by whatever.
 */
export function openDialog(template, { label, kind = "small", role = "dialog", onclose = () => {} }) {
  const element = document.createElement("dialog");
  const close = () => element.close();
  const draw = () => render(html`${template(close)}`, element);
  element.className = kind;
  element.setAttribute("role", role);
  element.setAttribute("aria-label", label);
  addEventListener("hashchange", close); // it is about what was shown
  element.addEventListener("close", () => {
    removeEventListener("hashchange", close);
    element.remove();
    onclose();
  });
  document.body.append(element);
  draw();
  element.showModal();
  return { element, draw, close };
}

/** Ask before something that cannot be undone; resolve to whether the person wants it. */
export function confirm(question, text, { yes, no = "Keep it" }) {
  return new Promise((resolve) => {
    let isWanted = false;
    const answer = (close, wanted) => {
      isWanted = wanted;
      close();
    };
    openDialog(
      (close) => html`<h2>${question}</h2>
        <p>${text}</p>
        <div class="row">
          <button autofocus @click=${() => answer(close, false)}>${no}</button>
          <button class="danger" @click=${() => answer(close, true)}>${yes}</button>
        </div>`,
      { label: question, role: "alertdialog", onclose: () => resolve(isWanted) },
    );
  });
}
