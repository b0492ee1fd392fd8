// Results that are no pictures: their names, sizes, a link that saves them, and how they begin if they are texts.

import { file, get } from "../data/api.js";
import { html, ref } from "../base/html.js";
import { sizeText } from "../base/text.js";
import { fileName } from "./media.js";

const SHOWN = 50; // more would be as many requests
const KEPT = 200;
const asked = new Map(); // hash -> how the result begins, which never changes

/** Return the results of a job; each is asked for once it is drawn. */
export function filesView(files) {
  const more = files.length - SHOWN;
  return html`<div class="files" tabindex="0" role="region" aria-label="Files">
    ${files.slice(0, SHOWN).map(fileView)} ${more > 0 ? html`<p>and ${more} more, see the report</p>` : ""}
  </div>`;
}

/** Return how a text begins, in full where that is all of it. */
export function textView(result) {
  return html`<pre class="text" tabindex="0" aria-label=${fileName(result)} ${ref(once(result, (found, shown) => (shown.textContent = found.text), (error, shown) => (shown.textContent = error.message)))}></pre>`;
}

function fileView(result) {
  const fill = (found, shown) => {
    const [about, text] = [shown.querySelector("small"), shown.querySelector("pre")];
    about.textContent = `${sizeText(found.size)}, ${result.sha256.slice(0, 8)}`;
    text.hidden = !found.text;
    text.textContent = found.text;
  };
  const tell = (error, shown) => (shown.querySelector("small").textContent = error.message);
  return html`<article ${ref(once(result, fill, tell))}>
    <a href=${file(result.sha256)} download=${fileName(result)}>${fileName(result)}</a> <small></small>
    <pre hidden></pre>
  </article>`;
}

/** Return what fills an element once it is there with how a result begins; a view is drawn again and again. */
function once(result, fill, tell) {
  return (shown) => {
    if (!shown || shown.dataset.of === result.sha256) return;
    shown.dataset.of = result.sha256;
    const still = (use) => (told) => shown.dataset.of === result.sha256 && use(told, shown);
    beginning(result.sha256).then(still(fill), still(tell));
  };
}

function beginning(sha256) {
  if (asked.size > KEPT) asked.clear();
  if (!asked.has(sha256)) {
    const reply = get(`/api/files/${sha256}`);
    reply.catch(() => asked.delete(sha256)); // the next time it may be there
    asked.set(sha256, reply);
  }
  return asked.get(sha256);
}
