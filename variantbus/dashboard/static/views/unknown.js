// An address that is none of ours.

import { html, render } from "../base/html.js";

export function unknownView() {
  const element = document.createElement("section");
  render(html`<h1>There is no such page</h1><p>The address is not complete, or of another version. <a href="#/">See all experiments</a>.</p>`, element);
  return { element };
}
