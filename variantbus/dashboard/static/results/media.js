// What a result is for people, and how it is shown: as a picture, in a player, as a text, or by its name.

import { file, get, media, picture } from "../data/api.js";
import { h } from "../base/dom.js";
import { html } from "../base/html.js";

const LEVELS = { picture: 4, video: 4, sound: 3, model: 2, text: 1, file: 0 }; // as in bus/contracts/media.py
const TEXTS = new Set(["application/json", "application/toml", "application/yaml", "application/x-ndjson"]);
const NEAR = 0.15; // seconds that two players may be apart

/** Return what a result is called: by the program that made it, else by its type. */
export function fileName(result) {
  return result.name ?? result.media_type;
}

/** Return what a result is for people. */
export function kindOf(result) {
  const kind = { video: "video", audio: "sound", model: "model", text: "text" }[result.media_type.split("/")[0]];
  if (kind) return kind;
  if (result.media_type.startsWith("image/")) return result.width && result.height ? "picture" : "file";
  return TEXTS.has(result.media_type) ? "text" : "file";
}

/** Return those results about which people are asked: all that say most; nobody is asked about a file. */
export function askedAbout(results, refOf = (one) => one) {
  const levels = results.map((one) => LEVELS[kindOf(refOf(one))]);
  const most = Math.max(0, ...levels);
  return results.filter((_, at) => most > 0 && levels[at] === most);
}

/**
 * Return what a cell shows of a result: a small picture, or its name where it has none, with further `lines`.
 *
 * `ended` is called once the picture is there, or cannot be had.
 */
export function tileOf(result, { lines = [], ended = () => {} } = {}) {
  const kind = kindOf(result);
  const hasPicture = kind === "picture" || (kind === "video" && result.width) || (kind === "sound" && result.duration !== undefined);
  if (hasPicture) return html`<img src=${picture(result.sha256, true)} alt="" decoding="async" draggable="false" @load=${ended} @error=${ended} />`;
  const text = [kind === "file" ? "" : kind, fileName(result), ...lines].filter(Boolean).join("\n");
  return html`<span class="word" data-result=${result.sha256}>${text}</span>`;
}

/** Return how long what moves or sounds is, null where nothing does. */
export function lengthText(result) {
  if (kindOf(result) === "picture" && result.duration === undefined) return null;
  if (result.duration === undefined) return ["video", "sound"].includes(kindOf(result)) ? "▶" : null;
  const seconds = Math.round(result.duration);
  return `▶ ${seconds < 1 ? `${result.duration.toFixed(1)} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`}`;
}

/** Return a result in full. */
export function fullView(result, label) {
  switch (kindOf(result)) {
    case "picture":
      return pictureView(result, label);
    case "video":
      return player("video", result, label);
    case "sound":
      return h("figure", { class: "sound" }, result.duration === undefined ? null : h("img", { src: picture(result.sha256, true), alt: "" }), player("audio", result, label));
    case "text":
      return textView(result);
    default:
      return h("p", { class: "word" }, h("a", { href: file(result.sha256), download: fileName(result) }, `Save ${fileName(result)}`));
  }
}

/** Two players of videos play as one; of two sounds only one is heard. */
export function together(stage) {
  const players = [...stage.querySelectorAll("video, audio")];
  if (players.length !== 2) return;
  const areVideos = players.every((one) => one.matches("video"));
  for (const [at, one] of players.entries()) {
    const other = players[1 - at];
    one.addEventListener("play", () => (areVideos ? other.play().catch(() => {}) : other.pause()));
    if (!areVideos) continue;
    one.addEventListener("pause", () => other.pause());
    one.addEventListener("seeking", () => {
      if (Math.abs(other.currentTime - one.currentTime) > NEAR) other.currentTime = Math.min(one.currentTime, other.duration || one.currentTime);
    });
  }
}

/** Of what no browser shows, such as TIFF, the small version is shown. */
function pictureView(result, label) {
  const img = h("img", { src: picture(result.sha256, false), alt: label, draggable: "false" });
  img.addEventListener("error", () => (img.src = picture(result.sha256, true)), { once: true });
  return img;
}

/** A video plays by itself, without its sound, unless a person wants little motion. */
function player(tag, result, label) {
  const element = h(tag, { controls: true, loop: true, preload: tag === "video" ? "auto" : "metadata", "aria-label": label, playsinline: true });
  if (tag === "video") {
    element.muted = true;
    element.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }
  element.addEventListener("error", () => element.replaceWith(h("p", { class: "word" }, "this browser cannot play it: ", h("a", { href: file(result.sha256), download: fileName(result) }, `save ${fileName(result)}`))));
  element.src = media(result.sha256);
  return element;
}

function textView(result) {
  const shown = h("pre", { class: "text" });
  get(`/api/files/${result.sha256}`).then(
    (found) => (shown.textContent = found.text),
    (error) => (shown.textContent = error.message),
  );
  return shown;
}
