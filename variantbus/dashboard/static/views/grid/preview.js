// What a running job has made so far, in its cell. Each preview is loaded first and shown then, so that nothing flickers.

import { preview } from "../../data/api.js";

const GAP = 500; // ms between two requests of a cell
const CALM_GAP = 5000; // where the person wants little motion
const kept = new WeakMap(); // cell -> what it shows of which job

/** Return the picture that a cell shows of its running job, or null; `paint` is called when there is a newer one. */
export function previewOf(cell, known, paint) {
  if (!known.preview) {
    kept.delete(cell);
    return null;
  }
  if (kept.get(cell)?.jobId !== known.jobId) kept.set(cell, { jobId: known.jobId, number: 0, img: null, isBusy: false });
  const shown = kept.get(cell);
  if (known.preview > shown.number && !shown.isBusy && isSeen(cell)) load(cell, shown, known.preview, paint);
  return shown.img;
}

async function load(cell, shown, number, paint) {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const rest = new Promise((done) => setTimeout(done, isCalm ? CALM_GAP : GAP));
  const img = new Image();
  Object.assign(img, { className: "so-far", src: preview(shown.jobId, number), alt: "what the job has made so far", draggable: false });
  shown.isBusy = true;
  shown.number = number;
  const again = () => cell.isConnected && kept.get(cell) === shown && paint();
  try {
    await img.decode();
    shown.img = img;
    again();
  } catch {
    // the job has ended meanwhile, or nobody answers: there may be a newer one
  }
  await rest;
  shown.isBusy = false;
  again();
}

/** Return whether a cell is in sight: those at the margin and those of a hidden page ask for nothing. */
function isSeen(cell) {
  const one = cell.getBoundingClientRect();
  const grid = cell.closest(".grid")?.getBoundingClientRect();
  return !document.hidden && Boolean(grid) && one.right > grid.left && one.left < grid.right && one.bottom > grid.top && one.top < grid.bottom;
}
