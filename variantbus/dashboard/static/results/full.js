// A result in full: a picture, a player, a text, or a link that saves it.

import { base, file, get, media, picture } from "../data/api.js";
import { html } from "../base/html.js";
import { textView } from "./files.js";
import { fileName, kindOf } from "./media.js";

const NEAR = 0.15; // seconds that two players may be apart
const PLAYERS = "video, audio";
const tied = new WeakSet(); // players that listen already

/** Return a result in full; a picture that cannot be loaded says so, by an element `.unseen`, and offers it again. */
export function fullView(result, label) {
  switch (kindOf(result)) {
    case "picture":
      return pictureView(result, label);
    case "video":
      return player(result, label);
    case "sound":
      return html`<figure class="sound">
        ${result.duration === undefined ? "" : html`<img src=${picture(result.sha256, true)} alt="" />`}${player(result, label)}
      </figure>`;
    case "text":
      return textView(result);
    default:
      return html`<p class="word"><a href=${file(result.sha256)} download=${fileName(result)}>Save ${fileName(result)}</a></p>`;
  }
}

/** Two players of videos play as one; of two sounds only one is heard. To be called after each drawing of a stage. */
export function together(stage) {
  for (const one of stage.querySelectorAll(PLAYERS)) {
    if (tied.has(one)) continue;
    tied.add(one);
    for (const kind of ["play", "pause", "seeking"]) one.addEventListener(kind, () => follow(stage, one, kind));
  }
}

/** Let the other player of a stage do what one does. */
function follow(stage, one, kind) {
  const players = [...stage.querySelectorAll(PLAYERS)];
  const other = players.length === 2 && players.includes(one) ? players.find((each) => each !== one) : null;
  if (!other) return;
  if (!players.every((each) => each.matches("video"))) return void (kind === "play" && other.pause());
  if (kind === "play") other.play().catch(() => {});
  else if (kind === "pause") other.pause();
  else if (Math.abs(other.currentTime - one.currentTime) > NEAR) other.currentTime = Math.min(one.currentTime, other.duration || one.currentTime);
}

function pictureView(result, label) {
  const fails = (event) => failed(event.target, result);
  return html`<img src=${picture(result.sha256, false)} alt=${label} draggable="false" @error=${fails} @load=${(event) => turn(event.target, true)} />
    <div class="unseen" role="alert" hidden><p></p><button @click=${(event) => again(event.target, result)}>Try again</button></div>`;
}

/** Of what no browser shows, such as TIFF, the small version is shown; only without that, it is said why there is none. */
async function failed(img, result) {
  const small = picture(result.sha256, true);
  if (img.getAttribute("src") !== small) return void img.setAttribute("src", small);
  turn(img, false);
  const reason = await get(small.slice(base.length)).then(
    () => "this browser cannot show it",
    (error) => error.message,
  );
  if (img.isConnected && img.hidden) img.nextElementSibling.querySelector("p").textContent = `The picture is not there: ${reason}`;
}

function turn(img, isThere) {
  if (!img.isConnected) return; // another picture is shown meanwhile
  img.hidden = !isThere;
  img.nextElementSibling.hidden = isThere;
}

function again(button, result) {
  const img = button.closest(".unseen").previousElementSibling;
  img.setAttribute("src", picture(result.sha256, false));
}

/** A video plays by itself, without its sound, unless a person wants little motion. */
function player(result, label) {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const source = media(result.sha256);
  const play = kindOf(result) === "video"
    ? html`<video controls loop playsinline preload="auto" aria-label=${label} .muted=${true} ?autoplay=${!isCalm} @error=${unplayable} src=${source}></video>`
    : html`<audio controls loop preload="metadata" aria-label=${label} @error=${unplayable} src=${source}></audio>`;
  return html`${play}<p class="word" hidden>this browser cannot play it: <a href=${file(result.sha256)} download=${fileName(result)}>save ${fileName(result)}</a></p>`;
}

function unplayable(event) {
  event.target.hidden = true;
  event.target.nextElementSibling.hidden = false;
}
