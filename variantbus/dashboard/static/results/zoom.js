// The arithmetic of pictures that are zoomed and moved, and of where a divided one is cut. No page.

export const WHOLE = { scale: 1, x: 0, y: 0 };
const MOST = 16; // times its size

/** Return the zoom after a change of its scale by a factor around a point; points are counted from the middle of a box. */
export function zoomed(zoom, factor, [x, y], box) {
  const scale = Math.min(MOST, Math.max(1, zoom.scale * factor));
  const ratio = scale / zoom.scale;
  return inside({ scale, x: x - (x - zoom.x) * ratio, y: y - (y - zoom.y) * ratio }, box);
}

/** Return the zoom after a move; a picture does not leave its box. */
export function moved(zoom, [x, y], box) {
  return inside({ ...zoom, x: zoom.x + x, y: zoom.y + y }, box);
}

/** Return which share of a layer, in %, is left of a divider at `split` % of a box of this width. */
export function cutAt(split, zoom, width) {
  const cut = (100 * (((split / 100) * width - zoom.x - width / 2) / zoom.scale + width / 2)) / width;
  return Math.min(100, Math.max(0, cut));
}

/** Return the direction of a swipe as a step, null if it was too short, too slow or slanted. */
export function swipe([x, y], milliseconds) {
  const [longer, shorter] = [Math.max(Math.abs(x), Math.abs(y)), Math.min(Math.abs(x), Math.abs(y))];
  if (longer < 40 || shorter > longer / 2 || milliseconds > 800) return null;
  return Math.abs(x) > Math.abs(y) ? [x < 0 ? 1 : -1, 0] : [0, y < 0 ? 1 : -1];
}

function inside({ scale, x, y }, { width, height }) {
  const kept = (offset, length) => Math.min(((scale - 1) * length) / 2, Math.max((-(scale - 1) * length) / 2, offset)) || 0;
  return { scale, x: kept(x, width), y: kept(y, height) };
}
