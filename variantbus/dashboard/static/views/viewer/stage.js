// The stage of the viewer: one picture, or two that are divided, zoomed and moved together, by mouse, finger and keys.

import { classMap, html, keyed, ref } from "../../base/html.js";
import { filesView } from "../../results/files.js";
import { fullView, together } from "../../results/full.js";
import { kindOf } from "../../results/media.js";
import { WHOLE, cutAt, moved, swipe, zoomed } from "../../results/zoom.js";

const OWN = ".files, .text, video, audio, a, button, [role=slider]"; // what is scrolled, played or pressed by itself
const NUDGE = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };

/** Make the stage; `onswipe(step)` is called after a swipe of a finger, `onflip` after what is seen has changed. */
export function stageOf({ onswipe, onflip }) {
  let element = null;
  let zoom = WHOLE;
  let split = 50;
  let flipped = null; // whether the other one is shown instead; null: both, with the divider between them
  const pointers = new Map(); // id -> { from, at, since }

  /** Return its template: results with their labels and stars, one or two, or else `otherwise`. */
  function template(shown, otherwise) {
    const isLayered = shown.length > 1 && shown.every(({ image }) => kindOf(image) === "picture");
    const seen = (at) => flipped === null || flipped === (at === 1);
    const one = ({ image, label }) => keyed(image.sha256, kindOf(image) === "text" ? filesView([image]) : fullView(image, label));
    return html`<div
      class=${classMap({ stage: true, layered: isLayered, beside: shown.length > 1 && !isLayered })}
      ${ref((found) => (element = found ?? element))}
      @wheel=${wheel} @pointerdown=${down} @pointermove=${move} @pointerup=${up} @pointercancel=${forget} @dblclick=${double}
    >
      ${shown.length ? shown.map(one) : otherwise}
      ${isLayered && flipped === null ? divider(shown) : ""}
      ${shown.length > 1 ? shown.map(({ label, stars }, at) => html`<span class=${classMap({ caption: true, other: at === 1 })} ?hidden=${isLayered && !seen(at)}>${label} ${stars ? html`<span class="stars">${"★".repeat(stars)}</span>` : ""}</span>`) : ""}
    </div>`;
  }

  function divider(shown) {
    return html`<div
      class="divider" role="slider" tabindex="0" aria-label="Divider between the two pictures" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(split)}
      aria-valuetext=${`${Math.round(split)} % ${shown[0].label}`} @pointerdown=${grip} @pointermove=${pull} @keydown=${nudge}
    ></div>`;
  }

  /** Bring what is drawn to its place; to be called after each drawing. */
  function settle() {
    together(element);
    place();
  }

  /** Apply zoom, divider and flip to the layers. */
  function place() {
    const layers = [...element.querySelectorAll(":scope > img")];
    for (const layer of layers) layer.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
    element.classList.toggle("zoomed", zoom.scale > 1);
    if (!element.classList.contains("layered")) return layers.forEach((layer) => (layer.style.clipPath = ""));
    const share = flipped === null ? cutAt(split, zoom, element.clientWidth || 1) : flipped ? 0 : 100;
    layers[0].style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    layers[1].style.clipPath = `inset(0 0 0 ${share}%)`;
    const bar = element.querySelector(".divider");
    if (!bar) return;
    bar.style.left = `${split}%`;
    bar.setAttribute("aria-valuenow", Math.round(split));
  }

  function middle({ clientX, clientY }) {
    const box = element.getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }

  function zoomBy(factor, point = [0, 0]) {
    zoom = zoomed(zoom, factor, point, element.getBoundingClientRect());
    place();
  }

  function wheel(event) {
    if (event.target.closest(".files, .text, video, audio")) return; // they are scrolled, or have controls
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, middle(event));
  }

  function double(event) {
    if (event.target.closest(OWN)) return;
    if (zoom.scale > 1) whole();
    else zoomBy(3, middle(event));
  }

  function whole() {
    zoom = WHOLE;
    place();
  }

  function down(event) {
    if (event.target.closest(OWN) || event.button) return;
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { from: middle(event), at: middle(event), since: event.timeStamp, isAlone: !pointers.size });
  }

  /** One finger moves what is zoomed; two zoom it around the point between them. */
  function move(event) {
    const mine = pointers.get(event.pointerId);
    if (!mine) return;
    const before = mine.at;
    mine.at = middle(event);
    const box = element.getBoundingClientRect();
    const other = [...pointers.values()].find((one) => one !== mine);
    if (!other) zoom = moved(zoom, [mine.at[0] - before[0], mine.at[1] - before[1]], box);
    else {
      mine.isAlone = other.isAlone = false;
      const reach = (point) => Math.max(1, Math.hypot(point[0] - other.at[0], point[1] - other.at[1]));
      zoom = zoomed(zoom, reach(mine.at) / reach(before), [(mine.at[0] + other.at[0]) / 2, (mine.at[1] + other.at[1]) / 2], box);
    }
    place();
  }

  function up(event) {
    const mine = pointers.get(event.pointerId);
    forget(event);
    if (!mine?.isAlone || event.pointerType === "mouse" || zoom.scale > 1) return;
    const step = swipe([mine.at[0] - mine.from[0], mine.at[1] - mine.from[1]], event.timeStamp - mine.since);
    if (step) onswipe(step);
  }

  function forget(event) {
    pointers.delete(event.pointerId);
  }

  function grip(event) {
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    event.target.focus();
  }

  function pull(event) {
    if (!event.target.hasPointerCapture(event.pointerId)) return;
    const box = element.getBoundingClientRect();
    cut((100 * (event.clientX - box.left)) / box.width);
  }

  function nudge(event) {
    if (!(event.key in NUDGE)) return;
    event.preventDefault();
    event.stopPropagation(); // else the arrows would go to the next picture
    cut(split + NUDGE[event.key]);
  }

  function cut(to) {
    split = Math.min(100, Math.max(0, to));
    place();
    onflip();
  }

  /** Show the other one alone, then the first one alone, and so on; `to` null shows both again. */
  function flip(to = !flipped) {
    flipped = to;
    onflip();
  }

  return { template, settle, flip, whole, zoomBy, isFlipped: () => flipped === true };
}
