// The board: headings that stay, and of all cells only those in sight. Elements are made and moved here by hand, as
// scrolling leaves no time for more; what is in them is drawn by the functions that the view gives.

const MARGIN = 1; // cells beyond the visible ones
const HEAD = -1; // the column of row headings, and the row of column headings

/**
 * Make the board. `on` has `drawCell(element, place)`, `drawHead(element, entry, role)`, `drawCorner(element)`, `key(event,
 * spot)`, `open(place)` and `menu(spot, element)`; a spot is `{ column, row }`, -1 for headings.
 */
export function makeBoard(on) {
  const corner = make("div", { class: "corner", role: "columnheader", "aria-colindex": 1 });
  const columns = make("div", { class: "columns", role: "row", "aria-rowindex": 1 }, corner);
  const rows = make("div", { class: "rows", role: "rowgroup" });
  const top = make("div", { role: "rowgroup", class: "top-rows" }, columns);
  const element = make("div", { class: "grid", role: "grid", "aria-label": "Pictures" }, top, rows);
  const heads = new Map(); // column -> element
  const lines = new Map(); // row -> { element, head, cells: column -> element }
  const places = new WeakMap(); // element of a cell -> its place
  let shape = { across: [], down: [], at: () => ({}) };
  let sizes = { cell: 1, side: 0, head: 0 };
  let active = { column: 0, row: 0 }; // the one Tab stop
  let pool = new Map(); // elements of cells that may be needed again
  let isWaiting = false;

  element.addEventListener("scroll", later);
  element.addEventListener("keydown", (event) => event.target !== element && on.key(event, active));
  element.addEventListener("click", (event) => {
    const spot = spotOf(event.target);
    if (!spot) return;
    activate(spot);
    if (isHead(spot)) on.menu(spot, elementAt(spot));
    else if (places.get(elementAt(spot))?.variant) on.open(places.get(elementAt(spot)));
  });
  element.addEventListener("focusin", (event) => {
    const spot = spotOf(event.target);
    if (spot) activate(spot);
  });
  const observer = new ResizeObserver(() => on.resized());
  observer.observe(element);

  /** Take other axes and sizes; cells that stay keep their elements, and so their pictures. */
  function layout(next, nextSizes) {
    const focused = document.activeElement?.closest?.(".grid") === element;
    const key = shape.at(active.column, active.row).key;
    const isEmpty = !shape.across.length || !shape.down.length;
    [shape, sizes] = [next, nextSizes];
    element.style.setProperty("--cell", `${sizes.cell}px`);
    element.style.setProperty("--side", `${sizes.side}px`);
    element.style.setProperty("--head", `${sizes.head}px`);
    const width = `${sizes.side + shape.across.length * sizes.cell}px`;
    rows.style.width = columns.style.width = width;
    rows.style.height = `${shape.down.length * sizes.cell}px`;
    element.setAttribute("aria-rowcount", shape.down.length + 1);
    element.setAttribute("aria-colcount", shape.across.length + 1);
    for (const line of lines.values()) for (const cell of line.cells.values()) pool.set(places.get(cell).key, cell);
    for (const one of [...heads.values(), ...[...lines.values()].map((line) => line.element)]) one.remove();
    heads.clear();
    lines.clear();
    if (isEmpty) active = { column: 0, row: 0 };
    active = inside((key && shape.find?.(key)) || active);
    on.drawCorner(corner);
    paint();
    pool = new Map();
    if (focused) elementAt(active)?.focus({ preventScroll: true });
  }

  function later() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      if (element.isConnected) paint();
    });
  }

  /** Let the page have the cells in sight, and the one that Tab comes to, and no others. */
  function paint() {
    const [first, last] = span(element.scrollLeft, element.clientWidth - sizes.side, shape.across.length);
    const [above, below] = span(element.scrollTop, element.clientHeight - sizes.head, shape.down.length);
    const isSeen = (column) => (column >= first && column < last) || column === active.column;
    const isShown = (row) => (row >= above && row < below) || row === active.row;
    for (const [column, one] of heads) if (!isSeen(column)) drop(heads, column, one);
    for (const [row, line] of lines) {
      if (!isShown(row)) drop(lines, row, line.element);
      else for (const [column, one] of line.cells) if (!isSeen(column)) drop(line.cells, column, one);
    }
    const seen = range(first, last, active.column);
    for (const column of seen) if (!heads.has(column)) addHead(column);
    for (const row of range(above, below, active.row)) {
      const line = lines.get(row) ?? addLine(row);
      for (const column of seen) {
        if (!line.cells.has(column)) addCell(line, column, row);
        else on.inSight(line.cells.get(column), places.get(line.cells.get(column)));
      }
    }
  }

  function span(from, length, count) {
    return [Math.max(0, Math.floor(from / sizes.cell) - MARGIN), Math.min(count, Math.ceil((from + length) / sizes.cell) + MARGIN)];
  }

  function addHead(column) {
    const one = make("div", { class: "heading", role: "columnheader", "aria-colindex": column + 2, tabindex: tabIndex(column, HEAD) });
    one.style.left = `${sizes.side + column * sizes.cell}px`;
    on.drawHead(one, shape.across[column]);
    insert(columns, one, heads, column);
  }

  function addLine(row) {
    const head = make("div", { class: "heading", role: "rowheader", "aria-colindex": 1, tabindex: tabIndex(HEAD, row) });
    const line = { element: make("div", { class: "line", role: "row", "aria-rowindex": row + 2 }, head), head, cells: new Map() };
    line.element.style.top = `${row * sizes.cell}px`;
    on.drawHead(head, shape.down[row]);
    insert(rows, line.element, lines, row, (other) => other.element);
    lines.set(row, line);
    return line;
  }

  function addCell(line, column, row) {
    const place = shape.at(column, row);
    const one = pool.get(place.key) ?? make("div", { role: "gridcell" });
    one.setAttribute("aria-colindex", column + 2);
    one.tabIndex = tabIndex(column, row);
    one.style.left = `${sizes.side + column * sizes.cell}px`;
    one.dataset.key = place.key;
    places.set(one, place);
    insert(line.element, one, line.cells, column);
    on.drawCell(one, place); // it may need to know whether it is in sight
  }

  function tabIndex(column, row) {
    return column === active.column && row === active.row ? 0 : -1;
  }

  function spotOf(target) {
    const cell = target.closest?.('[role="gridcell"], [role="columnheader"], [role="rowheader"]');
    if (!cell || cell === corner) return null;
    return { column: Number(cell.getAttribute("aria-colindex")) - 2, row: Number(cell.parentElement.getAttribute("aria-rowindex")) - 2 };
  }

  function elementAt({ column, row }) {
    if (row === HEAD) return heads.get(column);
    return column === HEAD ? lines.get(row)?.head : lines.get(row)?.cells.get(column);
  }

  function activate(spot) {
    const before = elementAt(active);
    active = spot;
    before?.setAttribute("tabindex", -1);
    elementAt(active)?.setAttribute("tabindex", 0);
  }

  /** Give a place the focus, and bring it into sight. */
  function focus(spot) {
    activate(inside(spot));
    reveal(active);
    paint();
    elementAt(active)?.setAttribute("tabindex", 0);
    elementAt(active)?.focus({ preventScroll: true });
  }

  function reveal({ column, row }) {
    const scrolled = (from, place, length) => Math.max(Math.min(from, place * sizes.cell), (place + 1) * sizes.cell - length);
    if (column !== HEAD) element.scrollLeft = scrolled(element.scrollLeft, column, element.clientWidth - sizes.side);
    if (row !== HEAD) element.scrollTop = scrolled(element.scrollTop, row, element.clientHeight - sizes.head);
  }

  function inside({ column, row }) {
    const within = (place, count) => Math.min(count - 1, Math.max(HEAD, place));
    const spot = { column: within(column, shape.across.length), row: within(row, shape.down.length) };
    return isCorner(spot) ? { column: Math.min(0, shape.across.length - 1), row: HEAD } : spot;
  }

  /** Draw the headings anew. */
  function drawHeads() {
    for (const [column, one] of heads) on.drawHead(one, shape.across[column]);
    for (const [row, line] of lines) on.drawHead(line.head, shape.down[row]);
    on.drawCorner(corner);
  }

  /** Draw cells anew: those with a key of the set, or all. */
  function drawCells(keys = null) {
    for (const line of lines.values()) {
      for (const one of line.cells.values()) {
        const place = places.get(one);
        if (!keys || keys.has(place.key)) on.drawCell(one, place);
      }
    }
  }

  return {
    element,
    layout,
    focus,
    drawHeads,
    drawCells,
    /** Return how many rows are in sight. */
    page: () => Math.max(1, Math.floor((element.clientHeight - sizes.head) / sizes.cell)),
    spotOf,
    placeOf: (one) => places.get(one),
    close: () => observer.disconnect(),
  };
}

/** Return whether a spot is a heading. */
export function isHead({ column, row }) {
  return column === HEAD || row === HEAD;
}

function isCorner({ column, row }) {
  return column === HEAD && row === HEAD;
}

function range(first, last, more) {
  const found = Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
  if (more === HEAD || (more >= first && more < last)) return found;
  return more < first ? [more, ...found] : [...found, more];
}

function drop(map, key, element) {
  map.delete(key);
  element.remove();
}

/** Put an element among those of a map, in the order of their keys. */
function insert(parent, one, map, key, elementOf = (other) => other) {
  let next = null;
  for (const other of map.keys()) if (other > key && (next === null || other < next)) next = other;
  parent.insertBefore(one, next === null ? null : elementOf(map.get(next)));
  map.set(key, one);
}

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
