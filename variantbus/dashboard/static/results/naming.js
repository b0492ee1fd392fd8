// Under which name a result is saved.

import { conditionText, valueText } from "../data/values.js";
import { kindOf } from "./media.js";

const SUFFIXES = { "image/jpeg": "jpg", "image/svg+xml": "svg", "audio/mpeg": "mp3", "audio/x-wav": "wav", "text/plain": "txt", "model/gltf-binary": "glb", "video/quicktime": "mov" };
const LONGEST = 120; // characters, so that every file system takes it

/** Return the name of a file that says what it shows: experiment, value and seed; `place` counts the results of its job from 0. */
export function saveName(definition, variant, repeat, image, place = 0) {
  const parts = [definition?.name ?? variant.experiment_name, variant.variable_under_test, valueText(variant.variant_value), conditionText(definition, repeat), place ? `${place + 1}` : ""];
  const words = parts.map((part) => String(part).replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "")).filter(Boolean);
  return `${words.join("_").slice(0, LONGEST)}${suffixOf(image)}`;
}

function suffixOf(image) {
  const own = /\.[A-Za-z0-9]{1,8}$/.exec(image.name ?? "")?.[0];
  if (own) return own.toLowerCase();
  const word = image.media_type.split("/")[1].split("+")[0];
  return `.${SUFFIXES[image.media_type] ?? (kindOf(image) === "file" ? "bin" : word.replace(/^x-/, ""))}`;
}
