// Walking through what the grid shows: `shown` is `{ across, down, at(column, row), find(key) }`, whose places may be holes.

/** The steps of the arrow keys. */
export const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Return column and row of a cell, null where the grid does not show it. */
export function locate(shown, key) {
  const found = shown.find(key);
  return found && [found.column, found.row];
}

/** Return the key of the next cell in a direction, null where there is none; holes are passed over, and `skipped` too. */
export function step(shown, place, [right, down], skipped = null) {
  const [columns, rows] = sizes(shown);
  for (let [column, row] = [place[0] + right, place[1] + down]; column >= 0 && row >= 0 && column < columns && row < rows; column += right, row += down) {
    const found = shown.at(column, row);
    if (found.variant && found.key !== skipped) return found.key;
  }
  return null;
}

/**
 * Return `[one, other]` after a step of two cells that are compared: along what they have in common both move, so that
 * two values are seen under the next seed; along what they differ in, only the other one does.
 */
export function stepBoth(shown, one, other, by) {
  const [here, there] = [locate(shown, one), locate(shown, other)];
  if (!there) return [one, other];
  const axis = by[0] ? 0 : 1;
  if (!here || here[axis] !== there[axis]) return [one, step(shown, there, by, one) ?? other];
  const moved = [step(shown, here, by), step(shown, there, by)];
  return moved.includes(null) ? [one, other] : moved;
}

/** Return the line of cells through a place, along the row or the column: `{ count, current, at(index) }`. */
export function lineThrough(shown, [column, row], isRow) {
  const [columns, rows] = sizes(shown);
  return isRow
    ? { count: columns, current: column, at: (index) => shown.at(index, row) }
    : { count: rows, current: row, at: (index) => shown.at(column, index) };
}

function sizes(shown) {
  return [shown.across.length, shown.down.length];
}
