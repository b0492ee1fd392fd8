// Results that are no pictures: their names, sizes, a link that saves them, and how they begin if they are texts.

import { file, get } from "../data/api.js";
import { h, fill } from "../base/dom.js";
import { fileName } from "./media.js";
import { sizeText } from "../base/text.js";

const SHOWN = 50; // more would be as many requests
const KEPT = 200;
const asked = new Map(); // hash -> how the result begins, which never changes

/** Draw the results of a job; each is asked for once it is drawn. */
export function filesView(files) {
  const more = files.length - SHOWN;
  return h("div", { class: "files" }, files.slice(0, SHOWN).map(fileView), more > 0 && h("p", {}, `and ${more} more, see the report`));
}

/** Ask once how a result begins: a viewer is drawn again and again. */
function beginning(sha256) {
  if (asked.size > KEPT) asked.clear();
  if (!asked.has(sha256)) asked.set(sha256, get(`/api/files/${sha256}`));
  return asked.get(sha256);
}

function fileView(result) {
  const about = h("small", {}, result.sha256.slice(0, 8));
  const shown = h("pre", { hidden: true });
  beginning(result.sha256).then(
    (found) => {
      about.textContent = `${sizeText(found.size)}, ${result.sha256.slice(0, 8)}`;
      shown.hidden = !found.text;
      fill(shown, found.text);
    },
    (error) => (about.textContent = error.message),
  );
  return h("article", {}, h("a", { href: file(result.sha256), download: fileName(result) }, fileName(result)), " ", about, shown);
}
