// How a person has arranged the pictures of each experiment; kept in this browser for the next visit.

const KEY = "grids";
const KEPT = 50; // experiments, the last ones
const SIZE = "cell size";

/** The sizes of a cell in pixels that a person can choose. */
export const SIZES = { least: 40, most: 400 };
const USUAL = { pixels: 128, share: 0.24 }; // at least, or this share of a narrow window

/** Return the arrangement of an experiment that nobody has changed. */
export function plain() {
  return { sort: "plan", filter: "", colour: "", isTurned: false, hidden: [], order: {}, across: null, down: null, places: {} };
}

/** Return how an experiment was arranged last. */
export function loadSettings(id) {
  return { ...plain(), ...read()[id] };
}

/** Keep how an experiment is arranged. */
export function saveSettings(id, settings) {
  const { [id]: _, ...others } = read();
  const kept = Object.entries(others).slice(1 - KEPT);
  store(KEY, JSON.stringify(Object.fromEntries([...kept, [id, settings]])));
}

/**
 * Return the size of pictures, one for all experiments: pixels, `fit` for as wide as the window allows, or, before a
 * person has chosen, `usual`: the same, but not so small that no picture can be seen.
 */
export function loadSize() {
  const kept = localStorage.getItem(SIZE);
  return kept === "fit" ? kept : within(Number(kept)) || "usual";
}

/** Return how many pixels a size is; `room` is what one cell may have of the window, of a `width`. */
export function pixelsOf(size, room, width) {
  if (size === "fit") return Math.floor(within(room.width));
  const least = Math.min(USUAL.pixels, USUAL.share * width);
  return size === "usual" ? Math.floor(within(Math.max(least, Math.min(room.width, room.height)))) : size;
}

function within(pixels) {
  return pixels && Math.min(SIZES.most, Math.max(SIZES.least, pixels));
}

/** Keep the size of pictures. */
export function saveSize(size) {
  store(SIZE, String(size));
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return kept !== null && typeof kept === "object" ? kept : {};
  } catch {
    return {}; // what another version or a person wrote there
  }
}

function store(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch {
    // the storage is full or forbidden: it holds for this visit
  }
}
