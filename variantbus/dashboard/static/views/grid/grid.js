// The live grid: columns are values and rows are seeds, or as a person arranges them. Only visible cells are in the page.

import { html, render } from "../../base/html.js";
import { linkTo } from "../../base/routes.js";
import { complain, say } from "../../base/toast.js";
import { numberText } from "../../base/text.js";
import { isShared, of, post } from "../../data/api.js";
import { knownOf } from "../../data/known.js";
import { repeats, state } from "../../data/state.js";
import { ratingOf, rate, reject, undoRating } from "../../feedback/judging.js";
import { askedAbout } from "../../results/media.js";
import { arrange, moveBy, moveTo } from "./axes.js";
import { Board, isHead } from "./board.js";
import { drawCell, drawHole } from "./cell.js";
import { canCancel, cancel } from "../../experiment/cancel.js";
import { openExtend } from "../../experiment/extend.js";
import { headsOf } from "./heads.js";
import { actOf, movedBy } from "./keys.js";
import { dragHeadings, openMenu } from "./menu.js";
import { openedPicture } from "./opened.js";
import { offerStars } from "./pick.js";
import { planeTools } from "./planes.js";
import { openSave } from "./save.js";
import { rangeOf, scoreOf, scoresOf, shareOf } from "./scores.js";
import { loadSettings, loadSize, pixelsOf, saveSettings, saveSize } from "./settings.js";
import { toolbar } from "./tools.js";

const ROOM = 2; // pixels of a border
const ROWS = 2; // that are in sight at first, where there are as many

export class GridView {
  constructor(id, route) {
    this.id = id;
    this.settings = loadSettings(id);
    this.size = loadSize();
    this.axes = null;
    this.heads = null;
    this.most = -1; // the last repeat of the axes
    this.range = null; // of the scores by which cells are coloured
    this.isOpen = false; // whether a narrow window shows all tools
    this.board = new Board(this); // it asks this view for what is drawn, and tells it what is done
    this.opened = openedPicture(id, { order: () => this.axes, closed: (last) => this.axes?.find(last) && this.board.focus(this.axes.find(last)) });
    this.actions = this.makeActions();
    this.tools = document.createElement("div");
    this.element = document.createElement("section");
    this.element.className = "gridview";
    this.element.append(this.tools, this.board.element);
    dragHeadings(this.board.element, (one) => this.board.spotOf(one), (from, to) => this.set(moveTo(this.settings, this.axisOf(from), placeIn(from), placeIn(to))));
    offerStars(this.board.element, {
      canRate: (one) => !isShared && imageIn(this.board.placeOf(one)) !== undefined,
      rate: (one, stars) => judge(this.board.placeOf(one), (sha256) => rate(id, sha256, stars)),
    });
    if (route.part.length) this.opened.go(route, false);
  }

  /** Return what the buttons of the toolbar do. */
  makeActions() {
    return {
      set: (more) => this.set(more),
      unfold: () => ((this.isOpen = !this.isOpen), this.drawTools()),
      fit: () => this.resize(this.size === "fit" ? this.cellSize() : "fit"),
      resize: (to) => this.resize(to),
      showAll: () => this.set({ hidden: [] }),
      retry: () => this.change("retry", "the failed jobs run once more"),
      extend: () => openExtend(this.id, state.open.status.definition),
      save: () => openSave({ axes: this.axes, heads: this.heads, title: state.open.status?.experiment_name ?? this.id, id: this.id, imageIn }),
      cancel: () => cancel(state.open.status),
    };
  }

  axisOf(spot) {
    return spot.row < 0 ? this.axes.across : this.axes.down;
  }

  cellSize() {
    const width = this.board.element.clientWidth - (this.heads?.side ?? 0) - ROOM;
    const height = this.board.element.clientHeight - (this.heads?.height ?? 0);
    const room = { width: width / Math.max(1, this.axes.across.length), height: height / Math.min(ROWS, Math.max(1, this.axes.down.length)) };
    return pixelsOf(this.size, room, this.board.element.clientWidth);
  }

  layout() {
    this.arrangeNow();
    this.range = rangeOf(state.open, this.settings.colour);
    this.measure();
    this.drawTools();
  }

  arrangeNow() {
    const shown = repeats();
    this.most = Math.max(-1, ...shown);
    this.axes = arrange(state.open, this.settings, shown);
  }

  measure() {
    this.makeHeads();
    if (typeof this.size === "string") this.makeHeads(); // the width of a cell and that of the headings depend on each other
    this.board.layout(this.axes, { cell: this.cellSize(), side: this.heads.side, head: this.heads.height });
  }

  makeHeads() {
    const fontSize = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.heads = headsOf(state.open, this.axes, this.settings, { cell: this.cellSize(), width: this.board.element.clientWidth, fontSize });
  }

  resized() {
    if (!this.axes || !state.open) return;
    this.drawTools();
    this.measure();
  }

  drawTools() {
    const { axes, settings, range } = this;
    const status = state.open.status;
    const shown = {
      settings,
      size: { pixels: this.cellSize(), isFit: this.size === "fit" },
      colours: scoresOf(state.open),
      range: range && settings.colour && range.map(numberText),
      hidden: axes.hidden,
      shared: axes.shared,
      fixed: axes.plane?.across ? axes.plane.fixed : {},
      totals: status?.totals,
      canCancel: Boolean(status) && canCancel(status),
      isOpen: this.isOpen,
    };
    render(html`${toolbar(shown, this.actions)}${planeTools(axes.plane, (chosen) => this.choosePlane(chosen))}`, this.tools);
  }

  set(more) {
    this.settings = { ...this.settings, ...more };
    saveSettings(this.id, this.settings);
    this.layout();
    if ("colour" in more) this.board.drawCells();
  }

  choosePlane({ across, down, place }) {
    const places = place ? { ...this.settings.places, [place[0]]: place[1] } : this.settings.places;
    this.set({ across, down, places });
  }

  resize(to) {
    const before = this.cellSize();
    const { scrollLeft, scrollTop } = this.board.element;
    this.size = to;
    saveSize(to);
    this.layout();
    this.board.drawCells(); // words or symbols
    const ratio = this.cellSize() / before;
    this.board.element.scrollTo(scrollLeft * ratio, scrollTop * ratio);
  }

  drawHead(one, entry) {
    this.heads.head(one, entry, one.getAttribute("role") === "rowheader");
  }

  drawCorner(one) {
    this.heads.corner(one);
  }

  drawCell(one, place) {
    if (!place.variant) return drawHole(one);
    const known = knownOf(state.open, place);
    const score = this.range ? scoreOf(state.open, known, this.settings.colour) : undefined;
    const told = score === undefined ? null : { share: shareOf(score, this.range), text: numberText(score) };
    const look = { definition: state.open.status?.definition, size: this.cellSize(), stars: (sha256) => ratingOf(sha256)?.stars, score: told };
    drawCell(one, place, known, look, () => this.drawCell(one, this.board.placeOf(one)));
  }

  /** A cell that was there already has been scrolled: it may ask for its preview now. */
  inSight(one, place) {
    if (state.open.cells.get(place.key)?.preview) this.drawCell(one, place);
  }

  key(event, spot) {
    const to = movedBy(event, spot, this.board.page());
    const wish = to ? null : actOf(event, isHead(spot));
    if (!to && !wish) return;
    event.preventDefault();
    if (to) return this.board.focus(to);
    const place = this.board.placeOf(event.target);
    const acts = {
      open: () => place?.variant && this.open(place),
      menu: () => this.menu(spot, event.target),
      move: () => this.move(spot, wish.by),
      hide: () => this.hide(this.axisOf(spot)[placeIn(spot)].ids.at(-1)),
      rate: () => judge(place, (sha256) => rate(this.id, sha256, wish.stars)),
      reject: () => judge(place, (sha256) => reject(this.id, sha256)),
      undo: () => judge(place, (sha256) => undoRating(this.id, sha256)),
    };
    acts[wish.act]();
  }

  move(spot, by) {
    const [axis, at] = [this.axisOf(spot), placeIn(spot)];
    const [{ ids }] = [axis[at]];
    this.set(moveBy(this.settings, axis, at, by));
    const moved = this.axisOf(spot).findIndex((one) => one.ids.join() === ids.join());
    this.board.focus(spot.row < 0 ? { ...spot, column: moved } : { ...spot, row: moved });
  }

  hide(hidden) {
    this.set({ hidden: [...this.settings.hidden, hidden] });
  }

  menu(spot, heading) {
    const [axis, at] = [this.axisOf(spot), placeIn(spot)];
    const entry = axis[at];
    const [back, on] = spot.row < 0 ? [["left", "Move to the left"], ["right", "Move to the right"]] : [["up", "Move up"], ["down", "Move down"]];
    const names = { value: "this value", part: "this value", seed: "this seed" };
    const hides = entry.ids.map((one) => ({ text: `Hide ${one.startsWith("seed") ? names.seed : names[entry.kind]}`, symbol: "hidden", act: () => this.hide(one) }));
    const moves = [[back, -1], [on, 1]].map(([[symbol, text], by]) => ({ text, symbol, act: () => this.move(spot, by) }));
    openMenu(heading, heading.title.split("\n")[0] || heading.textContent, [...moves, ...hides, { text: "Swap rows and columns", symbol: "swap", act: () => this.set({ isTurned: !this.settings.isTurned }) }]);
  }

  open(place) {
    location.hash = linkTo(["e", this.id, "grid", place.key]);
  }

  async change(what, said, body = {}) {
    try {
      await post(of(this.id, what), body);
      say(said);
    } catch (error) {
      complain(error.message);
    }
  }

  update(changes) {
    if (!state.open) return;
    const cells = [...changes].filter((one) => one.startsWith("cell ")).map((one) => one.slice(5));
    const isAll = changes.has("all") || changes.has("open");
    const mayMove = ["status", "variants", "recommendation", "ratings"].some((one) => changes.has(one)) || cells.some((one) => Number(one.split(".")[1]) > this.most);
    if (isAll || mayMove) this.arrangeAnew(isAll);
    if (cells.length && this.settings.colour) this.widen();
    if (isAll || changes.has("ratings")) this.board.drawCells();
    else if (cells.length) this.board.drawCells(new Set(cells));
    this.opened.update(changes);
  }

  /** Lay out anew only if something else stands on the axes; else the headings tell what is new. */
  arrangeAnew(isAll) {
    const [before, { height, side } = {}] = [this.axes?.key, this.heads ?? {}];
    this.arrangeNow();
    if (isAll || this.axes.key !== before) return this.layout();
    this.makeHeads();
    if (this.heads.height !== height || this.heads.side !== side) return this.measure();
    this.board.drawHeads();
    this.drawTools();
  }

  /** Another score may be the least or the greatest one, which changes all colours. */
  widen() {
    const before = this.range;
    this.range = rangeOf(state.open, this.settings.colour);
    if (String(before) === String(this.range)) return;
    this.board.drawCells();
    this.drawTools();
  }

  go(route) {
    this.opened.go(route, true);
  }

  close() {
    this.opened.close();
    this.board.close();
  }
}

/** Return the place of a heading on its axis. */
function placeIn(spot) {
  return spot.row < 0 ? spot.column : spot.row;
}

/** Return the result that a place of the grid shows, undefined where there is none. */
function imageIn(place) {
  return place?.variant && askedAbout(state.open.cells.get(place.key)?.images ?? [])[0];
}

/** Let a person judge the picture of a place, if there is one. */
function judge(place, act) {
  if (isShared) return;
  const image = imageIn(place);
  if (image) act(image.sha256);
  else say("There is no picture to rate here yet.");
}
