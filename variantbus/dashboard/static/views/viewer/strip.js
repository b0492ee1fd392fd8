// The filmstrip: the small pictures of a row or a column of the grid. Only those in sight are in the page.

import { classMap, html, ref, repeat } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { picture } from "../../data/api.js";
import { hasPicture } from "../../results/media.js";

const TILE = 80; // px that a tile takes, as in viewer.css
const MARGIN = 3; // tiles beyond those in sight
const MOST = 40; // until the width is known

/**
 * Make the filmstrip. `onpick(key)` is called with the cell that a person chooses, `onturn` to see the other line, and
 * `redraw` when it is scrolled to others; `tileOf(place, line)` returns `{ label, image, word }`.
 */
export function stripOf({ onpick, onturn, redraw, tileOf }) {
  let element = null;
  let centred = "";

  /** Return its template: of a line of `lineThrough`, in which `current` is shown and `compared` beside it. */
  function template(line, { current, compared, isRow, others }) {
    const [first, last] = span(line);
    const places = Array.from({ length: last - first }, (_, at) => ({ index: first + at, ...line.at(first + at) })).filter((one) => one.variant);
    return html`<div class="strip">
      ${others ? html`<button class="turn" title=${others} aria-label=${others} @click=${onturn}>${icon(isRow ? "columns" : "rows")}</button>` : ""}
      <div class="tiles" role="listbox" aria-label=${isRow ? "Pictures of this row" : "Pictures of this column"} aria-orientation="horizontal" @scroll=${redraw} ${ref(keep(line))}>
        <div class="reel" role="presentation" ${ref((reel) => reel && (reel.style.width = `${line.count * TILE}px`))}>
          ${repeat(places, (one) => one.key, (one) => tile(one, line, { current, compared }))}
        </div>
      </div>
    </div>`;
  }

  function tile(place, line, { current, compared }) {
    const { label, image, word } = tileOf(place, line);
    const [isCurrent, isCompared] = [place.key === current, place.key === compared];
    return html`<button
      class=${classMap({ tile: true, current: isCurrent, compared: isCompared })} role="option" aria-selected=${isCurrent || isCompared}
      aria-posinset=${place.index + 1} aria-setsize=${line.count} tabindex=${isCurrent ? 0 : -1}
      @click=${() => onpick(place.key)} ${ref((one) => one && (one.style.left = `${place.index * TILE}px`))}
    >
      ${image && hasPicture(image) ? html`<img src=${picture(image.sha256, true)} alt="" decoding="async" draggable="false" />` : html`<span class="word">${word}</span>`}
      <span class="label">${label}</span>
    </button>`;
  }

  /** Keep the present picture in sight, when it has become another one. */
  function keep(line) {
    return (found) => {
      if (!found) return;
      element = found;
      const place = `${line.count} ${line.current}`;
      if (place === centred || !element.clientWidth) return;
      centred = place;
      element.scrollLeft = (line.current + 0.5) * TILE - element.clientWidth / 2;
    };
  }

  function span({ count, current }) {
    if (!element?.clientWidth) return [Math.max(0, current - MOST / 2), Math.min(count, current + MOST / 2)];
    const first = Math.floor(element.scrollLeft / TILE) - MARGIN;
    return [Math.max(0, Math.min(first, current)), Math.min(count, Math.max(current + 1, Math.ceil((element.scrollLeft + element.clientWidth) / TILE) + MARGIN))];
  }

  return { template };
}
