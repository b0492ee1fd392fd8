// What a result is for people, and what a cell shows of it.

import { picture } from "../data/api.js";
import { html } from "../base/html.js";

const LEVELS = { picture: 4, video: 4, sound: 3, model: 2, text: 1, file: 0 }; // as in bus/contracts/media.py
const TEXTS = new Set(["application/json", "application/toml", "application/yaml", "application/x-ndjson"]);

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

/** Return whether the service has a small picture of a result: itself, a frame, or a waveform. */
export function hasPicture(result) {
  const kind = kindOf(result);
  return kind === "picture" || (kind === "video" && Boolean(result.width)) || (kind === "sound" && result.duration !== undefined);
}

/**
 * Return what a cell shows of a result: a small picture, or its name where it has none, with further `lines`.
 *
 * `ended` is called once the picture is there, or cannot be had.
 */
export function tileOf(result, { lines = [], ended = () => {} } = {}) {
  if (hasPicture(result)) return html`<img src=${picture(result.sha256, true)} alt="" decoding="async" draggable="false" @load=${ended} @error=${ended} />`;
  const kind = kindOf(result);
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
