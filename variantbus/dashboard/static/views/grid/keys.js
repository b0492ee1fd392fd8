// What the keys do on a focused cell or heading.

const ENDS = { Home: -Infinity, End: Infinity };

/** Return the spot to which a key moves, or null; `page` is how many rows are in sight. Places outside are brought inside. */
export function movedBy({ key, ctrlKey, metaKey, altKey }, { column, row }, page) {
  if (altKey) return null;
  const isWhole = ctrlKey || metaKey;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [0, -page], PageDown: [0, page] };
  if (key in ENDS) return { column: column < 0 ? column : clean(ENDS[key]), row: isWhole ? clean(ENDS[key]) : row };
  if (!(key in steps)) return null;
  const [right, down] = steps[key].map((step) => step * (isWhole ? 1e9 : 1));
  const isPage = key.startsWith("Page");
  // a heading is reached by arrows alone
  return { column: column + right, row: isPage && row >= 0 ? Math.max(0, row + down) : row + down };
}

/** Return what else a key does: `{ act: "open" | "menu" | "rate" | "reject" | "undo" | "move" | "hide", … }`, or null. */
export function actOf({ key, ctrlKey, metaKey, altKey }, isHeading) {
  const back = key === "ArrowLeft" || key === "ArrowUp";
  if (altKey && isHeading && key.startsWith("Arrow")) return { act: "move", by: back ? -1 : 1 };
  if (altKey || ctrlKey || metaKey) return null;
  if (key === "Enter" || key === " ") return { act: isHeading ? "menu" : "open" };
  if (isHeading) return key === "Delete" ? { act: "hide" } : null;
  if (/^[1-5]$/.test(key)) return { act: "rate", stars: Number(key) };
  return { x: { act: "reject" }, u: { act: "undo" } }[key] ?? null;
}

function clean(end) {
  return end < 0 ? 0 : 1e9;
}
