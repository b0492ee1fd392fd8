// Looking closely: all pictures of the stage are enlarged and moved together. Also a swipe of a finger.

import { WHOLE, moved, zoomed } from "../../results/zoom.js";

const STEPS = [1, 2, 4]; // by the button
const SWIPE = 60; // px
const NEAR = 8; // px, up to which a press is a click

/** The zoom of a stage; `swiped(-1 or 1)` is called for a finger's way, `changed()` when it begins or ends. */
export class Zoom {
  constructor(stage, { swiped, changed }) {
    Object.assign(this, { stage, swiped, changed });
    this.zoom = WHOLE;
    this.fingers = new Map(); // of a gesture: pointer -> { x, y }
    this.start = null;
    this.hasMoved = false; // a click that ends a movement chooses nothing; one of a key, without detail, does
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", (event) => this.up(event));
    stage.addEventListener("click", (event) => this.hasMoved && event.detail && event.stopPropagation(), { capture: true });
  }

  get isZoomed() {
    return this.zoom.scale > 1;
  }

  /** Zoom further, or back. */
  step() {
    this.set({ ...WHOLE, scale: STEPS[(STEPS.findLastIndex((one) => one <= this.zoom.scale) + 1) % STEPS.length] });
  }

  reset() {
    this.set(WHOLE);
  }

  place() {
    for (const img of this.stage.querySelectorAll(".shot > img")) {
      img.style.transform = this.zoom.scale === 1 ? "" : `translate(${this.zoom.x}px, ${this.zoom.y}px) scale(${this.zoom.scale})`;
    }
    this.stage.classList.toggle("zoomed", this.zoom.scale > 1);
  }

  set(next) {
    const wasZoomed = this.zoom.scale > 1;
    this.zoom = next;
    this.place();
    if (wasZoomed !== this.zoom.scale > 1) this.changed();
  }

  /** Return where a picture is: the one at a point of the window, or the first one. */
  boxAt({ x, y }) {
    const shot = document.elementFromPoint(x, y)?.closest(".shot");
    return ((this.stage.contains(shot) && shot) || this.stage.querySelector(".shot") || this.stage).getBoundingClientRect();
  }

  /** Enlarge so that what lies under a point of the window stays there. */
  about(factor, point) {
    const box = this.boxAt(point);
    this.set(zoomed(this.zoom, factor, [point.x - box.left - box.width / 2, point.y - box.top - box.height / 2], box));
  }

  wheel(event) {
    if (!isOurs(event)) return;
    event.preventDefault();
    this.about(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
  }

  down(event) {
    if (!isOurs(event) || event.button) return;
    this.fingers.set(event.pointerId, event);
    this.hasMoved = false;
    this.start = { x: event.x, y: event.y, zoom: this.zoom, gap: gapOf(this.fingers) };
  }

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    this.fingers.set(event.pointerId, event);
    if (Math.hypot(event.x - this.start.x, event.y - this.start.y) > NEAR) this.hasMoved = true;
    if (this.fingers.size === 2) {
      const gap = gapOf(this.fingers);
      this.about(gap / this.start.gap, middleOf(this.fingers));
      this.start.gap = gap;
    } else if (this.zoom.scale > 1) this.set(moved(this.zoom, [event.x - before.x, event.y - before.y], this.boxAt(event)));
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId) || this.fingers.size) return;
    const [across, down] = [event.x - this.start.x, event.y - this.start.y];
    const isSwipe = event.type === "pointerup" && event.pointerType === "touch" && this.zoom.scale === 1 && this.start.zoom.scale === 1;
    if (isSwipe && Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) this.swiped(Math.sign(across));
  }
}

/** Return whether an event is for the stage, and not for something in it that is played or pressed by itself. */
function isOurs(event) {
  return !event.target.closest("video, audio, a, pre, .card, button:not(.shot)");
}

function gapOf(fingers) {
  const [one, other] = [...fingers.values()];
  return other ? Math.hypot(one.x - other.x, one.y - other.y) : 1;
}

function middleOf(fingers) {
  const [one, other] = [...fingers.values()];
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}
