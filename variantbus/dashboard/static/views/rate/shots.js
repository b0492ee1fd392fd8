// Pictures that are loaded before they are shown, and what is known of each: that it is there, or could not be loaded.

import { html } from "../../base/html.js";
import { picture } from "../../data/api.js";
import { fullView } from "../../results/full.js";
import { kindOf } from "../../results/media.js";

const LABEL = "picture"; // for who cannot see it; nothing that tells more
const KEPT = 16; // those that are shown, that come next, and that somebody may go back to

/** The results that are shown or come next. `changed()` is called when one is there, or could not be loaded. */
export class Shots {
  constructor(changed) {
    this.changed = changed;
    this.known = new Map(); // hash -> { state, view, again }
  }

  /** Return what is shown of a result, whose name tells nothing: `{ state, view, again }`; it is loaded from now on. */
  of(image) {
    const found = this.known.get(image.sha256) ?? this.load(image);
    this.known.delete(image.sha256);
    this.known.set(image.sha256, found); // the newest one
    while (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
    return found;
  }

  /** Try all of those again that could not be loaded: what failed once may be there, too. */
  retry() {
    for (const one of this.known.values()) if (one.state === "failed") one.again();
  }

  load(image) {
    const nameless = { ...image, name: undefined, path: "" }; // a program may write its settings there
    if (kindOf(image) !== "picture") return { state: "ready", view: fullView(nameless, kindOf(image)), again() {} };
    const shot = { state: "loading", view: null, again: null };
    const img = new Image();
    img.alt = LABEL;
    img.draggable = false;
    shot.view = html`${img}`;
    shot.again = () => {
      shot.state = "loading";
      img.onload = () => this.turn(shot, "ready");
      img.onerror = () => {
        img.onerror = () => this.turn(shot, "failed");
        img.src = picture(image.sha256, true); // of what no browser shows, such as TIFF, the small version is shown
      };
      img.src = picture(image.sha256, false);
      this.changed();
    };
    shot.again();
    return shot;
  }

  turn(shot, state) {
    shot.state = state;
    this.changed();
  }
}
