// The board: headings that stay, and of all cells only those in sight. Elements are made and moved here by hand, as
// scrolling leaves no time for more; what is in them is drawn by the view.

const MARGIN = 1; // cells beyond the visible ones
const HEAD = -1; // the column of row headings, and the row of column headings

/**
 * The board. `on` has `drawCell(element, place)`, `drawHead(element, entry)`, `drawCorner(element)`, `inSight(element, place)`
 * for a cell that has been there before, `resized()`, `key(event, spot)`, `open(place)` and `menu(spot, element)`; a spot is
 * `{ column, row }`, -1 for headings.
 */
export class Board {
  constructor(on) {
    this.on = on;
    this.corner = make("div", { class: "corner", role: "columnheader", "aria-colindex": 1 });
    this.columns = make("div", { class: "columns", role: "row", "aria-rowindex": 1 }, this.corner);
    this.rows = make("div", { class: "rows", role: "rowgroup" });
    const top = make("div", { role: "rowgroup", class: "top-rows" }, this.columns);
    this.element = make("div", { class: "grid", role: "grid", "aria-label": "Pictures" }, top, this.rows);
    this.heads = new Map(); // column -> element
    this.lines = new Map(); // row -> { element, head, cells: column -> element }
    this.places = new WeakMap(); // element of a cell -> its place
    this.shape = { across: [], down: [], at: () => ({}) };
    this.sizes = { cell: 1, side: 0, head: 0 };
    this.active = { column: 0, row: 0 }; // the one Tab stop
    this.pool = new Map(); // elements of cells that may be needed again
    this.isWaiting = false;
    this.element.addEventListener("scroll", () => this.later());
    this.element.addEventListener("keydown", (event) => event.target !== this.element && on.key(event, this.active));
    this.element.addEventListener("click", (event) => this.click(event));
    this.element.addEventListener("focusin", (event) => this.focusIn(event));
    this.observer = new ResizeObserver(() => on.resized());
    this.observer.observe(this.element);
  }

  click(event) {
    const spot = this.spotOf(event.target);
    if (!spot) return;
    this.activate(spot);
    const one = this.elementAt(spot);
    if (isHead(spot)) this.on.menu(spot, one);
    else if (this.places.get(one)?.variant) this.on.open(this.places.get(one));
  }

  focusIn(event) {
    const spot = this.spotOf(event.target);
    if (spot) this.activate(spot);
  }

  /** Take other axes and sizes; cells that stay keep their elements, and so their pictures. */
  layout(next, nextSizes) {
    const focused = document.activeElement?.closest?.(".grid") === this.element;
    const key = this.shape.at(this.active.column, this.active.row).key;
    const isEmpty = !this.shape.across.length || !this.shape.down.length;
    [this.shape, this.sizes] = [next, nextSizes];
    this.element.style.setProperty("--cell", `${this.sizes.cell}px`);
    this.element.style.setProperty("--side", `${this.sizes.side}px`);
    this.element.style.setProperty("--head", `${this.sizes.head}px`);
    const width = `${this.sizes.side + this.shape.across.length * this.sizes.cell}px`;
    this.rows.style.width = this.columns.style.width = width;
    this.rows.style.height = `${this.shape.down.length * this.sizes.cell}px`;
    this.element.setAttribute("aria-rowcount", this.shape.down.length + 1);
    this.element.setAttribute("aria-colcount", this.shape.across.length + 1);
    for (const line of this.lines.values()) for (const cell of line.cells.values()) this.pool.set(this.places.get(cell).key, cell);
    for (const one of [...this.heads.values(), ...[...this.lines.values()].map((line) => line.element)]) one.remove();
    this.heads.clear();
    this.lines.clear();
    if (isEmpty) this.active = { column: 0, row: 0 };
    this.active = this.inside((key && this.shape.find?.(key)) || this.active);
    this.on.drawCorner(this.corner);
    this.paint();
    this.pool = new Map();
    if (focused) this.elementAt(this.active)?.focus({ preventScroll: true });
  }

  later() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      if (this.element.isConnected) this.paint();
    });
  }

  /** Let the page have the cells in sight, and the one that Tab comes to, and no others. */
  paint() {
    const [first, last] = this.span(this.element.scrollLeft, this.element.clientWidth - this.sizes.side, this.shape.across.length);
    const [above, below] = this.span(this.element.scrollTop, this.element.clientHeight - this.sizes.head, this.shape.down.length);
    const isSeen = (column) => (column >= first && column < last) || column === this.active.column;
    const isShown = (row) => (row >= above && row < below) || row === this.active.row;
    for (const [column, one] of this.heads) if (!isSeen(column)) drop(this.heads, column, one);
    for (const [row, line] of this.lines) {
      if (!isShown(row)) drop(this.lines, row, line.element);
      else for (const [column, one] of line.cells) if (!isSeen(column)) drop(line.cells, column, one);
    }
    const seen = range(first, last, this.active.column);
    for (const column of seen) if (!this.heads.has(column)) this.addHead(column);
    for (const row of range(above, below, this.active.row)) {
      const line = this.lines.get(row) ?? this.addLine(row);
      for (const column of seen) {
        if (!line.cells.has(column)) this.addCell(line, column, row);
        else this.on.inSight(line.cells.get(column), this.places.get(line.cells.get(column)));
      }
    }
  }

  span(from, length, count) {
    return [Math.max(0, Math.floor(from / this.sizes.cell) - MARGIN), Math.min(count, Math.ceil((from + length) / this.sizes.cell) + MARGIN)];
  }

  addHead(column) {
    const one = make("div", { class: "heading", role: "columnheader", "aria-colindex": column + 2, tabindex: this.tabIndex(column, HEAD) });
    one.style.left = `${this.sizes.side + column * this.sizes.cell}px`;
    this.on.drawHead(one, this.shape.across[column]);
    insert(this.columns, one, this.heads, column);
  }

  addLine(row) {
    const head = make("div", { class: "heading", role: "rowheader", "aria-colindex": 1, tabindex: this.tabIndex(HEAD, row) });
    const line = { element: make("div", { class: "line", role: "row", "aria-rowindex": row + 2 }, head), head, cells: new Map() };
    line.element.style.top = `${row * this.sizes.cell}px`;
    this.on.drawHead(head, this.shape.down[row]);
    insert(this.rows, line.element, this.lines, row, (other) => other.element);
    this.lines.set(row, line);
    return line;
  }

  addCell(line, column, row) {
    const place = this.shape.at(column, row);
    const one = this.pool.get(place.key) ?? make("div", { role: "gridcell" });
    one.setAttribute("aria-colindex", column + 2);
    one.tabIndex = this.tabIndex(column, row);
    one.style.left = `${this.sizes.side + column * this.sizes.cell}px`;
    one.dataset.key = place.key;
    this.places.set(one, place);
    insert(line.element, one, line.cells, column);
    this.on.drawCell(one, place); // it may need to know whether it is in sight
  }

  tabIndex(column, row) {
    return column === this.active.column && row === this.active.row ? 0 : -1;
  }

  spotOf(target) {
    const cell = target.closest?.('[role="gridcell"], [role="columnheader"], [role="rowheader"]');
    if (!cell || cell === this.corner) return null;
    return { column: Number(cell.getAttribute("aria-colindex")) - 2, row: Number(cell.parentElement.getAttribute("aria-rowindex")) - 2 };
  }

  elementAt({ column, row }) {
    if (row === HEAD) return this.heads.get(column);
    return column === HEAD ? this.lines.get(row)?.head : this.lines.get(row)?.cells.get(column);
  }

  activate(spot) {
    const before = this.elementAt(this.active);
    this.active = spot;
    before?.setAttribute("tabindex", -1);
    this.elementAt(this.active)?.setAttribute("tabindex", 0);
  }

  /** Give a place the focus, and bring it into sight. */
  focus(spot) {
    this.activate(this.inside(spot));
    this.reveal(this.active);
    this.paint();
    this.elementAt(this.active)?.setAttribute("tabindex", 0);
    this.elementAt(this.active)?.focus({ preventScroll: true });
  }

  reveal({ column, row }) {
    const scrolled = (from, place, length) => Math.max(Math.min(from, place * this.sizes.cell), (place + 1) * this.sizes.cell - length);
    if (column !== HEAD) this.element.scrollLeft = scrolled(this.element.scrollLeft, column, this.element.clientWidth - this.sizes.side);
    if (row !== HEAD) this.element.scrollTop = scrolled(this.element.scrollTop, row, this.element.clientHeight - this.sizes.head);
  }

  inside({ column, row }) {
    const within = (place, count) => Math.min(count - 1, Math.max(HEAD, place));
    const spot = { column: within(column, this.shape.across.length), row: within(row, this.shape.down.length) };
    return isCorner(spot) ? { column: Math.min(0, this.shape.across.length - 1), row: HEAD } : spot;
  }

  /** Draw the headings anew. */
  drawHeads() {
    for (const [column, one] of this.heads) this.on.drawHead(one, this.shape.across[column]);
    for (const [row, line] of this.lines) this.on.drawHead(line.head, this.shape.down[row]);
    this.on.drawCorner(this.corner);
  }

  /** Draw cells anew: those with a key of the set, or all. */
  drawCells(keys = null) {
    for (const line of this.lines.values()) {
      for (const one of line.cells.values()) {
        const place = this.places.get(one);
        if (!keys || keys.has(place.key)) this.on.drawCell(one, place);
      }
    }
  }

  /** Return how many rows are in sight. */
  page() {
    return Math.max(1, Math.floor((this.element.clientHeight - this.sizes.head) / this.sizes.cell));
  }

  /** Return the place of a cell, by its element. */
  placeOf(one) {
    return this.places.get(one);
  }

  close() {
    this.observer.disconnect();
  }
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
