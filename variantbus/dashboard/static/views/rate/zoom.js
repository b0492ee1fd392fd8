// Looking closely: all pictures of the stage are enlarged and moved together. Also a swipe of a finger.

const MOST = 16;
const STEPS = [1, 2, 4]; // by the button
const SWIPE = 60; // px

/** Return `{ isZoomed, step(), reset(), place() }` of a stage; `swiped(-1 or 1)` is called for a finger's way. */
export function zoomOf(stage, { swiped, changed }) {
  let zoom = { scale: 1, x: 0, y: 0 };
  const fingers = new Map(); // of a gesture: pointer -> { x, y }
  let start = null;
  let hasMoved = false; // a click that ends a movement chooses nothing

  function place() {
    for (const img of stage.querySelectorAll(".shot > img")) {
      img.style.transform = zoom.scale === 1 ? "" : `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
    }
    stage.classList.toggle("zoomed", zoom.scale > 1);
  }

  function set(scale, x, y) {
    const wasZoomed = zoom.scale > 1;
    zoom = scale <= 1 ? { scale: 1, x: 0, y: 0 } : { scale: Math.min(MOST, scale), ...kept(scale, x, y) };
    place();
    if (wasZoomed !== zoom.scale > 1) changed();
  }

  /** Keep the picture in sight. */
  function kept(scale, x, y) {
    const { width = 0, height = 0 } = stage.querySelector(".shot")?.getBoundingClientRect() ?? {};
    const within = (way, size) => Math.min((size * (scale - 1)) / 2, Math.max((-size * (scale - 1)) / 2, way));
    return { x: within(x, width), y: within(y, height) };
  }

  /** Enlarge so that what lies under a point of the window stays there. */
  function about(factor, point) {
    const box = (document.elementFromPoint(point.x, point.y)?.closest(".shot") ?? stage).getBoundingClientRect();
    const [x, y] = [point.x - box.left - box.width / 2, point.y - box.top - box.height / 2];
    const scale = Math.min(MOST, Math.max(1, zoom.scale * factor));
    const ratio = scale / zoom.scale;
    set(scale, x - (x - zoom.x) * ratio, y - (y - zoom.y) * ratio);
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
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (Math.hypot(event.x - start.x, event.y - start.y) > 8) hasMoved = true;
    if (fingers.size === 2) {
      const gap = gapOf(fingers);
      about(gap / start.gap, middleOf(fingers));
      start.gap = gap;
    } else if (zoom.scale > 1) set(zoom.scale, start.zoom.x + event.x - start.x, start.zoom.y + event.y - start.y);
  });
  const end = (event) => {
    if (!fingers.delete(event.pointerId) || fingers.size) return;
    const [across, down] = [event.x - start.x, event.y - start.y];
    const isSwipe = event.type === "pointerup" && event.pointerType === "touch" && zoom.scale === 1 && start.zoom.scale === 1;
    if (isSwipe && Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) swiped(Math.sign(across));
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("click", (event) => hasMoved && event.stopPropagation(), { capture: true });

  return {
    get isZoomed() {
      return zoom.scale > 1;
    },
    step: () => set(STEPS[(STEPS.findLastIndex((one) => one <= zoom.scale) + 1) % STEPS.length], 0, 0),
    reset: () => set(1, 0, 0),
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
