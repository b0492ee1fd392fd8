// Opening a picture, whose settings go into the form, or the file of an experiment: by a button, or dropped onto the page.

import { sendFile } from "../../data/api.js";
import { html } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { complain, say } from "../../base/toast.js";
import { draftOf, withSettings } from "./draft.js";
import { placeIn, settingsOf } from "./settings.js";

const MOST = 64 << 20; // bytes, as the server takes

/** Return the button that opens a file. */
export function openButton(form) {
  const onchange = ({ target }) => {
    const [file] = target.files;
    target.value = ""; // the same file can be opened again
    if (file) open(form, file);
  };
  return html`<label class="button opener">${icon("image")} Open a picture
    <input type="file" accept="image/*,.toml" aria-label="Open a picture or the file of an experiment" @change=${onchange} />
  </label>`;
}

/** Let files be dropped anywhere on the page, and show so at an element; return the function that ends this. */
export function dropzone(element, form) {
  const ending = new AbortController();
  const listen = (kind, heard) => document.addEventListener(kind, heard, { signal: ending.signal });
  const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = (isOver) => element.classList.toggle("dropping", isOver);
  listen("dragover", (event) => {
    if (!hasFile(event) || !form.draft) return;
    event.preventDefault();
    show(true);
  });
  listen("dragleave", (event) => event.relatedTarget || show(false));
  listen("drop", (event) => {
    show(false);
    if (!hasFile(event) || !form.draft) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) open(form, file);
  });
  return () => ending.abort();
}

async function open(form, file) {
  if (file.size > MOST) return complain(`${file.name} is larger than ${MOST >> 20} MiB`);
  try {
    const found = await sendFile("/api/read", file);
    if (found.definition) {
      form.take({ ...draftOf(found.definition), origin: file.name.slice(0, 500), told: found.told });
      return say(`${file.name} is in the form`);
    }
    const { model, ...rest } = found.settings;
    const isOurs = model in form.pipelines; // a picture of the built-in pipeline says so there
    const place = placeOf(form, isOurs ? model : found.pipeline);
    const known = settingsOf(form.pipelines[place.pipeline]?.[place.stage], {});
    form.take(withSettings({ ...form.draft, ...place }, isOurs ? rest : found.settings, known));
    say(`the settings of ${file.name} are in the form`);
  } catch (error) {
    complain(`${file.name}: ${error.message}`);
  }
}

/** Return where a picture can be made again: by the program that made it, if that is there; else as the form has it. */
function placeOf(form, pipeline) {
  const { pipeline: present, stage } = form.draft;
  const [first] = Object.values(form.pipelines[pipeline] ?? {});
  const isThere = first && !first.unavailable && "prompt" in (first.variables ?? {});
  return isThere ? placeIn(form.pipelines, pipeline, "txt2img") : { pipeline: present, stage };
}
