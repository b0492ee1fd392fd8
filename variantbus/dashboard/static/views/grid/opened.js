// The picture that an address of the grid names, in full above it.

import { replaceRoute, linkTo } from "../../base/routes.js";
import { openViewer } from "../viewer/viewer.js";

/**
 * Make what follows the address: `{ go, update, close }`.
 *
 * `order()` returns what the grid shows now; `closed(key)` is called with the last picture once it is shown no more.
 */
export function openedPicture(id, { order, closed }) {
  let wanted = null; // a picture that is to be shown as soon as there is a grid

  function show() {
    const shown = order();
    const spot = shown && wanted && shown.find(wanted);
    if (!spot) return;
    const key = wanted;
    wanted = null;
    openViewer({ ...shown, ...spot });
    document.querySelector("dialog.viewer").addEventListener("close", () => {
      replaceRoute(linkTo(["e", id, "grid"]));
      closed(key);
    });
  }

  return {
    /** Show what an address names. */
    go(route) {
      [wanted] = route.part;
      show();
    },
    update: show,
    close: () => {},
  };
}
