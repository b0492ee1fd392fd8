// The picture that an address of the grid names, in full above it.

import { Viewer } from "../viewer/viewer.js";

/**
 * Make what follows the address: `{ go, update, close }`.
 *
 * `order()` returns what the grid shows now; `closed(key)` is called with the last picture once it is shown no more.
 */
export function openedPicture(id, { order, closed }) {
  let viewer = null;

  return {
    /** Show what an address names, or nothing; `isAbove` is whether the grid was there before. */
    go(route, isAbove) {
      if (!route.part.length) {
        viewer?.close();
        viewer = null;
      } else if (viewer) viewer.go(route);
      else viewer = new Viewer(id, { route, order, isAbove, onclose: closed });
    },
    update: (changes) => viewer?.update(changes),
    close: () => viewer?.close(),
  };
}
