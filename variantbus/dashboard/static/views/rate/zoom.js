// Looking closely: all pictures of the stage are enlarged and moved together. Also a swipe of a finger.

import { WHOLE, moved, zoomed } from "../../results/zoom.js";

const STEPS = [1, 2, 4]; // by the button
const SWIPE = 60; // px
const NEAR = 8; // px, up to which a press is a click

/** Return `{ isZoomed, step(), reset(), place() }` of a stage; `swiped(-1 or 1)` is called for a finger's way. */
export function zoomOf(stage, { swiped, changed }) {
  let zoom = WHOLE;
  const fingers = new Map(); // of a gesture: pointer -> { x, y }
  let start = null;
  let hasMoved = false; // a click that ends a movement chooses nothing; one of a key, without detail, does

  function place() {
    for (const img of stage.querySelectorAll(".shot > img")) {
      img.style.transform = zoom.scale === 1 ? "" : `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
    }
    stage.classList.toggle("zoomed", zoom.scale > 1);
  }

  function set(next) {
    const wasZoomed = zoom.scale > 1;
    zoom = next;
    place();
    if (wasZoomed !== zoom.scale > 1) changed();
  }

  /** Return where a picture is: the one at a point of the window, or the first one. */
  function boxAt({ x, y }) {
    const shot = document.elementFromPoint(x, y)?.closest(".shot");
    return ((stage.contains(shot) && shot) || stage.querySelector(".shot") || stage).getBoundingClientRect();
  }

  /** Enlarge so that what lies under a point of the window stays there. */
  function about(factor, point) {
    const box = boxAt(point);
    set(zoomed(zoom, factor, [point.x - box.left - box.width / 2, point.y - box.top - box.height / 2], box));
  }

  function isOurs(event) {
    return !event.target.closest("video, audio, a, pre, .card, button:not(.shot)");
  }

  stage.addEventListener(
    "wheel",
    (event) => {
      if (!isOurs(event)) return;
      event.preventDefault();
      about(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
    },
    { passive: false },
  );
  stage.addEventListener("pointerdown", (event) => {
    if (!isOurs(event) || event.button) return;
    fingers.set(event.pointerId, event);
    hasMoved = false;
    start = { x: event.x, y: event.y, zoom, gap: gapOf(fingers) };
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, event);
    if (Math.hypot(event.x - start.x, event.y - start.y) > NEAR) hasMoved = true;
    if (fingers.size === 2) {
      const gap = gapOf(fingers);
      about(gap / start.gap, middleOf(fingers));
      start.gap = gap;
    } else if (zoom.scale > 1) set(moved(zoom, [event.x - before.x, event.y - before.y], boxAt(event)));
  });
  const end = (event) => {
    if (!fingers.delete(event.pointerId) || fingers.size) return;
    const [across, down] = [event.x - start.x, event.y - start.y];
    const isSwipe = event.type === "pointerup" && event.pointerType === "touch" && zoom.scale === 1 && start.zoom.scale === 1;
    if (isSwipe && Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) swiped(Math.sign(across));
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("click", (event) => hasMoved && event.detail && event.stopPropagation(), { capture: true });

  return {
    get isZoomed() {
      return zoom.scale > 1;
    },
    step: () => set({ ...WHOLE, scale: STEPS[(STEPS.findLastIndex((one) => one <= zoom.scale) + 1) % STEPS.length] }),
    reset: () => set(WHOLE),
    place,
  };
}

function gapOf(fingers) {
  const [one, other] = [...fingers.values()];
  return other ? Math.hypot(one.x - other.x, one.y - other.y) : 1;
}

function middleOf(fingers) {
  const [one, other] = [...fingers.values()];
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}
