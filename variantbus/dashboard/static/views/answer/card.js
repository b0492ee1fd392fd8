// The card of an answer: a picture of 1200 × 630 that people share, drawn from the data and the pictures. Always light.

import { percent } from "../../base/text.js";
import { picture } from "../../data/api.js";
import { betweenText, isChosen, namedValue, scoreText, shortened, valueInShort } from "../../experiment/scores.js";
import { hasPicture } from "../../results/media.js";

const [WIDTH, HEIGHT, EDGE] = [1200, 630, 56];
const [INK, PALE, LINE, PAPER, ACCENT] = ["#1b1d21", "#5c6370", "#d8dbe0", "#ffffff", "#1a56b0"];
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const LARGE = 52; // px of the headline
const NAME = 150; // px of a value beside its bar
const BARS = 5; // values whose chance is shown

/**
 * Draw the card and resolve to it as a PNG.
 *
 * `content` is `{ name, headline, about, made, winner, rival, variable, images }`: `images` are the results of both, each null if there is none.
 */
export async function cardOf(content) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const pen = canvas.getContext("2d");
  const images = await Promise.all(content.images.map(load));
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  pen.textBaseline = "alphabetic";
  write(pen, content.name, { x: EDGE, y: EDGE + 22, width: WIDTH - 2 * EDGE, size: 26, colour: PALE });
  drawHeadline(pen, content.headline);
  drawRivals(pen, content, images);
  drawChances(pen, content);
  write(pen, content.about, { x: EDGE, y: HEIGHT - 34, width: 860, size: 20, colour: PALE });
  write(pen, "variantbus", { x: WIDTH - EDGE, y: HEIGHT - 34, width: 200, size: 20, weight: 700, colour: PALE, align: "right" });
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser cannot draw it"))), "image/png"));
}

/** Draw the headline in one line, or a long one in two. */
function drawHeadline(pen, text) {
  const width = WIDTH - 2 * EDGE;
  pen.font = `700 ${0.7 * LARGE}px ${FONT}`;
  if (pen.measureText(text).width <= width) write(pen, text, { x: EDGE, y: EDGE + 84, width, size: LARGE, weight: 700 });
  else write(pen, text, { x: EDGE, y: EDGE + 60, width, size: 30, weight: 700, lines: 2 });
}

/** Draw the winner large, and the runner-up beside it. */
function drawRivals(pen, { winner, rival, variable, made }, images) {
  const [top, large, small] = [EDGE + 116, 340, 250];
  framed(pen, images[0], { x: EDGE, y: top, size: large, colour: ACCENT });
  write(pen, namedValue(winner.value, variable), { x: EDGE, y: top + large + 34, width: large, size: 24, weight: 700 });
  if (!rival) return;
  const x = EDGE + large + 28;
  framed(pen, images[1], { x, y: top + large - small, size: small, colour: LINE });
  write(pen, `${namedValue(rival.value, variable)}${rival.p_best === null ? "" : `, ${percent(rival.p_best)}`}`, { x, y: top + large + 34, width: small, size: 24, colour: PALE });
  write(pen, scoreText(winner.mean, made.objective), { x, y: top + 28, width: small, size: 22, weight: 700 });
  write(pen, betweenText(winner, made.objective), { x, y: top + 60, width: small, size: 20, colour: PALE });
}

/** Draw how likely the likeliest values are the best. */
function drawChances(pen, { made, winner }) {
  const [x, right, top] = [EDGE + 340 + 28 + 250 + 48, WIDTH - EDGE, EDGE + 116];
  if (winner.p_best === null) return;
  write(pen, percent(winner.p_best), { x, y: top + 78, width: right - x, size: 96, weight: 700, colour: ACCENT });
  write(pen, "chance to be the best", { x, y: top + 112, width: right - x, size: 22, colour: PALE });
  const likely = made.estimates.filter((one) => one.p_best !== null).sort((one, other) => other.p_best - one.p_best);
  pen.font = `700 20px ${FONT}`;
  const shown = likely.slice(0, BARS).map((one) => ({ ...one, name: valueInShort(one.value) }));
  const isLong = shown.some((one) => pen.measureText(one.name).width > NAME); // then names stand above their bars
  const left = x + (isLong ? 0 : NAME + 10);
  const width = right - left - 70;
  shown.slice(0, isLong ? BARS - 1 : BARS).forEach((one, place) => {
    const y = top + (isLong ? 148 + 52 * place : 152 + 40 * place);
    const bar = isLong ? y + 28 : y;
    write(pen, one.name, { x, y: y + 18, width: isLong ? right - x : NAME, size: 20, weight: isChosen(made, one) ? 700 : 400 });
    box(pen, { x: left, y: bar, width, height: isLong ? 12 : 22, colour: LINE });
    box(pen, { x: left, y: bar, width: Math.max(4, width * one.p_best), height: isLong ? 12 : 22, colour: ACCENT });
    write(pen, percent(one.p_best), { x: right, y: bar + (isLong ? 12 : 18), width: 70, size: 20, colour: PALE, align: "right" });
  });
}

/** Draw a picture whole in a square, or an empty square. */
function framed(pen, image, { x, y, size, colour }) {
  box(pen, { x, y, width: size, height: size, colour: "#f5f6f8" });
  pen.save();
  pen.beginPath();
  pen.roundRect(x, y, size, size, 12);
  pen.clip();
  if (image) {
    const part = Math.min(size / image.naturalWidth, size / image.naturalHeight);
    const [width, height] = [image.naturalWidth * part, image.naturalHeight * part];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, x + (size - width) / 2, y + (size - height) / 2, width, height);
  }
  pen.restore();
  pen.strokeStyle = colour;
  pen.lineWidth = colour === ACCENT ? 5 : 2;
  pen.beginPath();
  pen.roundRect(x, y, size, size, 12);
  pen.stroke();
}

function box(pen, { x, y, width, height, colour }) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.roundRect(x, y, width, height, Math.min(6, height / 2, width / 2));
  pen.fill();
}

/** Write a text; one that is too long for its lines is made smaller, then cut. */
function write(pen, text, { x, y, width, size, weight = 400, colour = INK, align = "left", lines = 1 }) {
  pen.fillStyle = colour;
  pen.textAlign = align;
  let small = size;
  const set = () => (pen.font = `${weight} ${small}px ${FONT}`);
  set();
  while (lines === 1 && pen.measureText(text).width > width && small > size * 0.7) {
    small -= 2;
    set();
  }
  const rows = broken(pen, text, width, lines);
  rows.forEach((row, place) => pen.fillText(row, x, y + place * small * 1.35));
}

/** Return a text in as many lines as are allowed, the last one cut where it is too long. */
function broken(pen, text, width, lines) {
  const rows = [""];
  for (const word of text.split(" ")) {
    const longer = rows.at(-1) ? `${rows.at(-1)} ${word}` : word;
    if (pen.measureText(longer).width <= width || rows.length === lines || !rows.at(-1)) rows[rows.length - 1] = longer;
    else rows.push(word);
  }
  let last = rows.pop();
  while (last.length > 1 && pen.measureText(last).width > width) last = shortened(last, last.length - 1);
  return [...rows, last];
}

/** Resolve to the picture of a result, null where it has none or it does not load: the card is drawn all the same. */
async function load(result) {
  if (!result || !hasPicture(result)) return null;
  for (const isSmall of [false, true]) {
    const image = new Image();
    image.src = picture(result.sha256, isSmall);
    try {
      await image.decode();
      return image;
    } catch {
      // what no browser shows has a small picture
    }
  }
  return null;
}
