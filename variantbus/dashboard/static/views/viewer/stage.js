// The stage of the viewer: one picture, or two that are divided, zoomed and moved together, by mouse, finger and keys.

import { classMap, html, keyed, ref } from "../../base/html.js";
import { filesView } from "../../results/files.js";
import { fullView, together } from "../../results/full.js";
import { kindOf } from "../../results/media.js";
import { WHOLE, cutAt, moved, swipe, zoomed } from "../../results/zoom.js";

const OWN = ".files, .text, video, audio, a, button, [role=slider]"; // what is scrolled, played or pressed by itself
const NUDGE = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };

/** The stage; `onswipe(step)` is called after a swipe of a finger, `onflip` after what is seen has changed. */
export class Stage {
  constructor({ onswipe, onflip }) {
    Object.assign(this, { onswipe, onflip });
    this.element = null;
    this.zoom = WHOLE;
    this.split = 50;
    this.flipped = null; // whether the other one is shown instead; null: both, with the divider between them
    this.pointers = new Map(); // id -> { from, at, since }
  }

  /** Return its template: results with their labels and stars, one or two, or else `otherwise`. */
  template(shown, otherwise) {
    const isLayered = shown.length > 1 && shown.every(({ image }) => kindOf(image) === "picture");
    const seen = (at) => this.flipped === null || this.flipped === (at === 1);
    const one = ({ image, label }) => keyed(image.sha256, kindOf(image) === "text" ? filesView([image]) : fullView(image, label));
    return html`<div
      class=${classMap({ stage: true, layered: isLayered, beside: shown.length > 1 && !isLayered })}
      ${ref((found) => (this.element = found ?? this.element))}
      @wheel=${(event) => this.wheel(event)} @dblclick=${(event) => this.double(event)}
      @pointerdown=${(event) => this.down(event)} @pointermove=${(event) => this.move(event)}
      @pointerup=${(event) => this.up(event)} @pointercancel=${(event) => this.forget(event)}
    >
      ${shown.length ? shown.map(one) : otherwise}
      ${isLayered && this.flipped === null ? this.divider(shown) : ""}
      ${shown.length > 1 ? shown.map(({ label, stars }, at) => html`<span class=${classMap({ caption: true, other: at === 1 })} ?hidden=${isLayered && !seen(at)}>${label} ${stars ? html`<span class="stars">${"★".repeat(stars)}</span>` : ""}</span>`) : ""}
    </div>`;
  }

  divider(shown) {
    return html`<div
      class="divider" role="slider" tabindex="0" aria-label="Divider between the two pictures" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(this.split)}
      aria-valuetext=${`${Math.round(this.split)} % ${shown[0].label}`}
      @pointerdown=${grip} @pointermove=${(event) => this.pull(event)} @keydown=${(event) => this.nudge(event)}
    ></div>`;
  }

  /** Bring what is drawn to its place; to be called after each drawing. */
  settle() {
    together(this.element);
    this.place();
  }

  /** Apply zoom, divider and flip to the layers. */
  place() {
    const layers = [...this.element.querySelectorAll(":scope > img")];
    for (const layer of layers) layer.style.transform = `translate(${this.zoom.x}px, ${this.zoom.y}px) scale(${this.zoom.scale})`;
    this.element.classList.toggle("zoomed", this.zoom.scale > 1);
    if (!this.element.classList.contains("layered")) return layers.forEach((layer) => (layer.style.clipPath = ""));
    const share = this.flipped === null ? cutAt(this.split, this.zoom, this.element.clientWidth || 1) : this.flipped ? 0 : 100;
    layers[0].style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    layers[1].style.clipPath = `inset(0 0 0 ${share}%)`;
    const bar = this.element.querySelector(".divider");
    if (!bar) return;
    bar.style.left = `${this.split}%`;
    bar.setAttribute("aria-valuenow", Math.round(this.split));
  }

  middle({ clientX, clientY }) {
    const box = this.element.getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }

  zoomBy(factor, point = [0, 0]) {
    this.zoom = zoomed(this.zoom, factor, point, this.element.getBoundingClientRect());
    this.place();
  }

  wheel(event) {
    if (event.target.closest(".files, .text, video, audio")) return; // they are scrolled, or have controls
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.middle(event));
  }

  double(event) {
    if (event.target.closest(OWN)) return;
    if (this.zoom.scale > 1) this.whole();
    else this.zoomBy(3, this.middle(event));
  }

  whole() {
    this.zoom = WHOLE;
    this.place();
  }

  down(event) {
    if (event.target.closest(OWN) || event.button) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { from: this.middle(event), at: this.middle(event), since: event.timeStamp, isAlone: !this.pointers.size });
  }

  /** One finger moves what is zoomed; two zoom it around the point between them. */
  move(event) {
    const mine = this.pointers.get(event.pointerId);
    if (!mine) return;
    const before = mine.at;
    mine.at = this.middle(event);
    const box = this.element.getBoundingClientRect();
    const other = [...this.pointers.values()].find((one) => one !== mine);
    if (!other) this.zoom = moved(this.zoom, [mine.at[0] - before[0], mine.at[1] - before[1]], box);
    else {
      mine.isAlone = other.isAlone = false;
      const reach = (point) => Math.max(1, Math.hypot(point[0] - other.at[0], point[1] - other.at[1]));
      this.zoom = zoomed(this.zoom, reach(mine.at) / reach(before), [(mine.at[0] + other.at[0]) / 2, (mine.at[1] + other.at[1]) / 2], box);
    }
    this.place();
  }

  up(event) {
    const mine = this.pointers.get(event.pointerId);
    this.forget(event);
    if (!mine?.isAlone || event.pointerType === "mouse" || this.zoom.scale > 1) return;
    const step = swipe([mine.at[0] - mine.from[0], mine.at[1] - mine.from[1]], event.timeStamp - mine.since);
    if (step) this.onswipe(step);
  }

  forget(event) {
    this.pointers.delete(event.pointerId);
  }

  pull(event) {
    if (!event.target.hasPointerCapture(event.pointerId)) return;
    const box = this.element.getBoundingClientRect();
    this.cut((100 * (event.clientX - box.left)) / box.width);
  }

  nudge(event) {
    if (!(event.key in NUDGE)) return;
    event.preventDefault();
    event.stopPropagation(); // else the arrows would go to the next picture
    this.cut(this.split + NUDGE[event.key]);
  }

  cut(to) {
    this.split = Math.min(100, Math.max(0, to));
    this.place();
    this.onflip();
  }

  /** Show the other one alone, then the first one alone, and so on; `to` null shows both again. */
  flip(to = !this.flipped) {
    this.flipped = to;
    this.onflip();
  }

  isFlipped() {
    return this.flipped === true;
  }
}

function grip(event) {
  event.preventDefault();
  event.target.setPointerCapture(event.pointerId);
  event.target.focus();
}
