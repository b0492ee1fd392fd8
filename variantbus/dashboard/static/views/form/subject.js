// What is made, and by what: the prompt, or the command; the pipeline and its stage.

import { html } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { areaInput, choice, domId, labelled, wrong } from "./fields.js";
import { fieldOfSetting, setText, settingText } from "./more.js";
import { pipelineChoices } from "./settings.js";

/** Return the settings that have a place of their own in the form, and so none among the others. */
export function placed(form) {
  const { spec, settings } = form;
  return [...("prompt" in settings ? ["prompt", "negative_prompt"] : []), ...(spec?.template ? [spec.template] : []), ...(spec?.required ?? [])];
}

/** Return the fields with which the form begins. */
export function subject(form) {
  const { spec, settings } = form;
  const required = placed(form).filter((name) => !["prompt", "negative_prompt", spec?.template].includes(name));
  return html`${"prompt" in settings ? prompts(form) : ""}
    ${spec?.template ? command(form) : ""}
    ${required.map((name) => fieldOfSetting(form, name))}
    ${"negative_prompt" in settings ? negative(form) : ""}`;
}

function negative(form) {
  const field = "config negative_prompt";
  const set = (text) => setText(form, "negative_prompt", text);
  return labelled(form, field, "What is not to be in it", areaInput(form, field, settingText(form, "negative_prompt"), set, { rows: 1 }));
}

function prompts(form) {
  const { prompts: all, axes } = form.draft;
  if (axes.some((axis) => axis.form === "setting" && axis.name === "prompt")) {
    return html`<p class="facts">The prompt is what varies; write the prompts as its values below.</p>`;
  }
  const put = (found) => {
    const { prompt, ...config } = form.draft.config; // an empty one may have come with a definition
    form.change({ prompts: found, config });
  };
  const one = (text, place) => {
    const field = `prompt ${place}`;
    const label = all.length > 1 ? `Prompt ${place + 1}` : "Prompt";
    const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
    const set = (typed) => put(all.map((other, index) => (index === place ? typed : other)));
    const without = () => put(all.filter((_, index) => index !== place));
    const split = () => put([...all.slice(0, place), ...lines, ...all.slice(place + 1)]);
    return html`<div class="prompt">
      <label for=${domId(field)}>${label}</label>
      ${areaInput(form, field, text, set, { rows: 3, placeholder: "What is to be seen?" })}
      ${wrong(form, field)}
      ${lines.length > 1 ? html`<button type="button" class="plain more" @click=${split}>These are ${lines.length} prompts, one a line</button>` : ""}
      ${all.length > 1
        ? html`<button type="button" class="plain remove" aria-label=${`Remove prompt ${place + 1}`} @click=${without}>${icon("close")}</button>`
        : ""}
    </div>`;
  };
  const add = () => {
    put([...all, ""]);
    form.focus(`prompt ${all.length}`);
  };
  return html`${all.map(one)}
    ${form.draft.kept.blocks ? "" : html`<button type="button" class="plain more" @click=${add}>${icon("plus")} Try another prompt, too</button>`}
    ${all.length > 1 ? html`<p class="facts">Each value is tried with each prompt, so that the answer holds for all of them.</p>` : ""}`;
}

function command(form) {
  const { template, provided = [] } = form.spec;
  const field = `config ${template}`;
  const hint = html`Program and arguments; no shell reads it. <code>{level}</code> is a setting called level, which can vary;
    <code>{seed}</code> is the seed${provided.includes("output_dir") ? html`; files written to <code>{output_dir}</code> are the results` : ""}.`;
  const placeholder = 'my-tool --level {level} --seed {seed} --out "{output_dir}/result.png"';
  const set = (text) => setText(form, template, text);
  const control = areaInput(form, field, settingText(form, template), set, { rows: 3, placeholder, hint: true });
  return labelled(form, field, "Command", control, { hint, kind: "mono" });
}

/** Return the choice of the pipeline and its stage, and why some cannot be used now. */
export function pipelineChoice(form) {
  const { pipeline, stage } = form.draft;
  const { ready, away } = pipelineChoices(form.pipelines);
  const gone = pipeline in form.pipelines ? [] : [[pipeline, pipeline]];
  const others = { label: "Not available now", options: away.map(({ name }) => [name, name]) };
  const options = [...gone, ...ready.map((name) => [name, name]), ...(away.length ? [others] : [])];
  const stages = Object.keys(form.pipelines[pipeline] ?? { [stage]: null });
  return html`<div class="row pipelines">
      ${labelled(form, "pipeline", "Made by", choice(form, "pipeline", pipeline, options, (name) => form.move(name, stage)))}
      ${stages.length > 1 ? labelled(form, "stage", "Stage", choice(form, "stage", stage, stages.map((name) => [name, name]), (name) => form.move(pipeline, name))) : ""}
    </div>
    ${away.length && !form.spec?.unavailable ? html`<details class="away"><summary>${away.length} not available now</summary>${reasons(away)}</details>` : ""}`;
}

function reasons(away) {
  return html`<dl>${away.map(({ name, reason }) => html`<dt>${name}</dt><dd>${reason}</dd>`)}</dl>`;
}

/** Return what stands in the place of the settings where the stage cannot be used. */
export function unavailableSection(form) {
  const { pipeline, stage } = form.draft;
  return html`<section class="part notice" role="status">
    <h2>${icon("warn")} ${pipeline} cannot be used now</h2>
    <p>${form.spec?.unavailable ?? `The runner has no pipeline ${pipeline} with a stage ${stage}.`}</p>
    <p class="facts">This page looks again every few seconds; what you have typed stays.</p>
  </section>`;
}
