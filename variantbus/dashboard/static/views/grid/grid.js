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
import { isHead, makeBoard } from "./board.js";
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

export function gridView(id, route) {
  let settings = loadSettings(id);
  let size = loadSize();
  let axes = null;
  let heads = null;
  let most = -1; // the last repeat of the axes
  let range = null; // of the scores by which cells are coloured
  let isOpen = false; // whether a narrow window shows all tools
  const board = makeBoard({ drawCell: draw, drawHead, drawCorner: (one) => heads.corner(one), inSight, key, open, menu, resized });
  const opened = openedPicture(id, { order: () => axes, closed: (last) => axes?.find(last) && board.focus(axes.find(last)) });
  const tools = document.createElement("div");
  const element = document.createElement("section");
  element.className = "gridview";
  element.append(tools, board.element);
  dragHeadings(board.element, (one) => board.spotOf(one), (from, to) => set(moveTo(settings, axisOf(from), placeIn(from), placeIn(to))));
  offerStars(board.element, { canRate: (one) => !isShared && imageIn(board.placeOf(one)) !== undefined, rate: (one, stars) => judge(board.placeOf(one), (sha256) => rate(id, sha256, stars)) });

  function axisOf(spot) {
    return spot.row < 0 ? axes.across : axes.down;
  }

  function placeIn(spot) {
    return spot.row < 0 ? spot.column : spot.row;
  }

  function cellSize() {
    const width = board.element.clientWidth - (heads?.side ?? 0) - ROOM;
    const height = board.element.clientHeight - (heads?.height ?? 0);
    const room = { width: width / Math.max(1, axes.across.length), height: height / Math.min(ROWS, Math.max(1, axes.down.length)) };
    return pixelsOf(size, room, board.element.clientWidth);
  }

  function layout() {
    arrangeNow();
    range = rangeOf(state.open, settings.colour);
    measure();
    drawTools();
  }

  function arrangeNow() {
    const shown = repeats();
    most = Math.max(-1, ...shown);
    axes = arrange(state.open, settings, shown);
  }

  function measure() {
    makeHeads();
    if (typeof size === "string") makeHeads(); // the width of a cell and that of the headings depend on each other
    board.layout(axes, { cell: cellSize(), side: heads.side, head: heads.height });
  }

  function makeHeads() {
    const fontSize = parseFloat(getComputedStyle(document.documentElement).fontSize);
    heads = headsOf(state.open, axes, settings, { cell: cellSize(), width: board.element.clientWidth, fontSize });
  }

  function resized() {
    if (!axes || !state.open) return;
    drawTools();
    measure();
  }

  function drawTools() {
    const status = state.open.status;
    const legend = range && settings.colour && range.map(numberText);
    const shown = { settings, size: { pixels: cellSize(), isFit: size === "fit" }, colours: scoresOf(state.open), range: legend, hidden: axes.hidden, shared: axes.shared, fixed: axes.plane?.across ? axes.plane.fixed : {}, totals: status?.totals, canCancel: Boolean(status) && canCancel(status), isOpen };
    render(html`${toolbar(shown, actions)}${planeTools(axes.plane, choosePlane)}`, tools);
  }

  const actions = {
    set,
    unfold: () => ((isOpen = !isOpen), drawTools()),
    fit: () => resize(size === "fit" ? cellSize() : "fit"),
    resize,
    showAll: () => set({ hidden: [] }),
    retry: () => change("retry", "the failed jobs run once more"),
    extend: () => openExtend(id, state.open.status.definition),
    save: () => openSave({ axes, heads, title: state.open.status?.experiment_name ?? id, id, imageIn }),
    cancel: () => cancel(state.open.status),
  };

  function set(more) {
    settings = { ...settings, ...more };
    saveSettings(id, settings);
    layout();
    if ("colour" in more) board.drawCells();
  }

  function choosePlane({ across, down, place }) {
    const places = place ? { ...settings.places, [place[0]]: place[1] } : settings.places;
    set({ across, down, places });
  }

  function resize(to) {
    const before = cellSize();
    const { scrollLeft, scrollTop } = board.element;
    size = to;
    saveSize(to);
    layout();
    board.drawCells(); // words or symbols
    const ratio = cellSize() / before;
    board.element.scrollTo(scrollLeft * ratio, scrollTop * ratio);
  }

  function drawHead(one, entry) {
    heads.head(one, entry, one.getAttribute("role") === "rowheader");
  }

  function draw(one, place) {
    if (!place.variant) return drawHole(one);
    const known = knownOf(state.open, place);
    const score = range ? scoreOf(state.open, known, settings.colour) : undefined;
    const told = score === undefined ? null : { share: shareOf(score, range), text: numberText(score) };
    const look = { definition: state.open.status?.definition, size: cellSize(), stars: (sha256) => ratingOf(sha256)?.stars, score: told };
    drawCell(one, place, known, look, () => draw(one, board.placeOf(one)));
  }

  /** A cell that was there already has been scrolled: it may ask for its preview now. */
  function inSight(one, place) {
    if (state.open.cells.get(place.key)?.preview) draw(one, place);
  }

  function imageIn(place) {
    return place?.variant && askedAbout(state.open.cells.get(place.key)?.images ?? [])[0];
  }

  function key(event, spot) {
    const to = movedBy(event, spot, board.page());
    const wish = to ? null : actOf(event, isHead(spot));
    if (!to && !wish) return;
    event.preventDefault();
    if (to) return board.focus(to);
    const place = board.placeOf(event.target);
    const acts = {
      open: () => place?.variant && open(place),
      menu: () => menu(spot, event.target),
      move: () => move(spot, wish.by),
      hide: () => hide(axisOf(spot)[placeIn(spot)].ids.at(-1)),
      rate: () => judge(place, (sha256) => rate(id, sha256, wish.stars)),
      reject: () => judge(place, (sha256) => reject(id, sha256)),
      undo: () => judge(place, (sha256) => undoRating(id, sha256)),
    };
    acts[wish.act]();
  }

  function move(spot, by) {
    const [axis, at] = [axisOf(spot), placeIn(spot)];
    const [{ ids }] = [axis[at]];
    set(moveBy(settings, axis, at, by));
    const moved = axisOf(spot).findIndex((one) => one.ids.join() === ids.join());
    board.focus(spot.row < 0 ? { ...spot, column: moved } : { ...spot, row: moved });
  }

  function hide(hidden) {
    set({ hidden: [...settings.hidden, hidden] });
  }

  function menu(spot, heading) {
    const [axis, at] = [axisOf(spot), placeIn(spot)];
    const entry = axis[at];
    const [back, on] = spot.row < 0 ? [["left", "Move to the left"], ["right", "Move to the right"]] : [["up", "Move up"], ["down", "Move down"]];
    const names = { value: "this value", part: "this value", seed: "this seed" };
    const hides = entry.ids.map((one) => ({ text: `Hide ${one.startsWith("seed") ? names.seed : names[entry.kind]}`, symbol: "hidden", act: () => hide(one) }));
    const moves = [[back, -1], [on, 1]].map(([[symbol, text], by]) => ({ text, symbol, act: () => move(spot, by) }));
    openMenu(heading, heading.title.split("\n")[0] || heading.textContent, [...moves, ...hides, { text: "Swap rows and columns", symbol: "swap", act: () => set({ isTurned: !settings.isTurned }) }]);
  }

  function open(place) {
    location.hash = linkTo(["e", id, "grid", place.key]);
  }

  function judge(place, act) {
    if (isShared) return;
    const image = imageIn(place);
    if (image) act(image.sha256);
    else say("There is no picture to rate here yet.");
  }

  async function change(what, said, body = {}) {
    try {
      await post(of(id, what), body);
      say(said);
    } catch (error) {
      complain(error.message);
    }
  }

  function update(changes) {
    if (!state.open) return;
    const cells = [...changes].filter((one) => one.startsWith("cell ")).map((one) => one.slice(5));
    const isAll = changes.has("all") || changes.has("open");
    const mayMove = ["status", "variants", "recommendation", "ratings"].some((one) => changes.has(one)) || cells.some((one) => Number(one.split(".")[1]) > most);
    if (isAll || mayMove) arrangeAnew(isAll);
    if (cells.length && settings.colour) widen();
    if (isAll || changes.has("ratings")) board.drawCells();
    else if (cells.length) board.drawCells(new Set(cells));
    opened.update(changes);
  }

  /** Lay out anew only if something else stands on the axes; else the headings tell what is new. */
  function arrangeAnew(isAll) {
    const [before, { height, side } = {}] = [axes?.key, heads ?? {}];
    arrangeNow();
    if (isAll || axes.key !== before) return layout();
    makeHeads();
    if (heads.height !== height || heads.side !== side) return measure();
    board.drawHeads();
    drawTools();
  }

  /** Another score may be the least or the greatest one, which changes all colours. */
  function widen() {
    const before = range;
    range = rangeOf(state.open, settings.colour);
    if (String(before) === String(range)) return;
    board.drawCells();
    drawTools();
  }

  if (route.part.length) opened.go(route, false);
  return {
    element,
    update,
    go: (to) => opened.go(to, true),
    close() {
      opened.close();
      board.close();
    },
  };
}
