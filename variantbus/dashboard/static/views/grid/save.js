// The pictures as they are arranged, in one file: a page with its headings, or an animation over what is across.

import { postForFile } from "../../data/api.js";
import { openDialog } from "../../base/dialog.js";
import { html } from "../../base/html.js";
import { kindOf } from "../../results/media.js";

const FORMS = [["png", "One picture (PNG)"], ["gif", "An animation (GIF)"], ["webp", "An animation (WebP)"]];

/** Ask in which form, and save the file. `imageIn(place)` returns the result that a place shows. */
export function openSave({ axes, heads, title, id, imageIn }) {
  let form = "png";
  let isBusy = false;
  let error = "";
  const dialog = openDialog(template, { label: "Save the pictures" });

  async function save(event, close) {
    event.preventDefault();
    if (isBusy) return;
    const isWhole = new FormData(event.target).has("whole");
    [isBusy, error] = [true, ""];
    dialog.draw();
    try {
      keep(await postForFile("/api/sheet", { form, whole: isWhole, title, ...pageOf(axes, heads, imageIn) }), `${id}.${form}`);
      close();
    } catch (refused) {
      error = refused.message;
    }
    isBusy = false;
    dialog.draw();
  }

  function template(close) {
    const [across] = heads.names;
    const choice = ([key, text]) => html`<label class="choice"><input type="radio" name="form" .checked=${form === key} @change=${() => ((form = key), dialog.draw())} /> ${text}</label>`;
    return html`<form @submit=${(event) => save(event, close)}>
      <h2>Save the pictures</h2>
      <p>As they are arranged now, without what is hidden.</p>
      <div role="radiogroup" aria-label="Form">${FORMS.map(choice)}</div>
      ${form === "png" ? "" : html`<p>One frame for each ${across}, with its pictures side by side.</p>`}
      <label class="choice"><input type="checkbox" name="whole" /> In full size, as far as a file can hold it</label>
      <p class="error" role="alert">${error}</p>
      <div class="row">
        <button class="primary" aria-disabled=${isBusy}>${isBusy ? "Drawing …" : "Save"}</button>
        <button type="button" @click=${close}>Close</button>
      </div>
    </form>`;
  }
}

/** Return what the server draws: the words of both axes, and which picture is where. */
function pageOf(axes, heads, imageIn) {
  const axis = (name, entries) => ({ name, labels: entries.map(heads.words) });
  const pictures = axes.down.flatMap((_, row) => axes.across.map((__, column) => [column, row, imageIn(axes.at(column, row))]));
  return {
    across: axis(heads.names[0] ?? "", axes.across),
    down: axis(heads.names[1] ?? "", axes.down),
    pictures: pictures.filter(([, , image]) => image && kindOf(image) === "picture").map(([column, row, image]) => [column, row, image.sha256, image.width, image.height]),
  };
}

/** Let the browser save a file. */
function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may read it later
}
