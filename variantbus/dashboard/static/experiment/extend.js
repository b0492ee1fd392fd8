// The dialog that plans more values or more seeds of an experiment. It stays open until they are planned.

import { openDialog } from "../base/dialog.js";
import { html, live, nothing } from "../base/html.js";
import { say } from "../base/toast.js";
import { get, of, post } from "../data/api.js";
import { itemsOf, rangeOf, rangeValues } from "../data/entries.js";
import { knobsOf } from "../data/settings.js";
import { problemOf } from "./errors.js";

/** Ask for more values and seeds of an experiment, and plan them. */
export function openExtend(id, definition) {
  const knobs = knobsOf(definition);
  const typed = Object.fromEntries(knobs.map((knob) => [knob.name, ""]));
  const kinds = Object.fromEntries(knobs.map((knob) => [knob.name, kindOf(knob)]));
  const least = definition.jobs_per_variant ?? 1;
  const form = { typed, kinds, seeds: String(least), problem: null, isSending: false };

  async function send(event) {
    event.preventDefault();
    if (form.isSending) return;
    form.problem = null;
    const params = read(form, least);
    if (!params) return show();
    form.isSending = true;
    dialog.draw();
    try {
      await post(of(id, "extend"), params);
      say("planned");
      dialog.close();
    } catch (error) {
      form.problem = problemIn(error, knobs);
    } finally {
      form.isSending = false;
      if (form.problem) show();
    }
  }

  function show() {
    dialog.draw();
    dialog.element.querySelector("[aria-invalid=true], [role=alert]")?.focus();
  }

  const set = (change) => {
    change();
    dialog.draw();
  };
  const dialog = openDialog((close) => template({ knobs, form, send, set, close, least }), { label: "Extend" });
  // what the pipeline offers; without an answer the values that are there say what others are
  get("/api/pipelines").then((reply) => {
    const variables = reply.pipelines[definition.pipeline ?? "embedded"]?.[definition.stage ?? "txt2img"]?.variables ?? {};
    for (const knob of knobs) if (isPlain(knob) && variables[knob.name]) kinds[knob.name] = variables[knob.name];
    if (dialog.element.isConnected) dialog.draw();
  }, () => {});
}

function isPlain(knob) {
  return !knob.fills && !knob.replace && !knob.settings;
}

/** Return what values of a variable are, by those that it has. */
function kindOf({ values }) {
  if (!Array.isArray(values)) return values === "all" ? { kind: "str" } : { kind: "float" };
  if (values.every((one) => typeof one === "string")) return { kind: "str" };
  return values.every((one) => ["number", "bigint"].includes(typeof one)) ? { kind: "float" } : undefined;
}

/** Return the parameters of what was typed; null, and the problem, if something is wrong with it. */
function read(form, least) {
  const values = {};
  for (const [name, text] of Object.entries(form.typed)) {
    try {
      const range = form.kinds[name]?.kind === "str" ? null : rangeOf(text);
      const more = range ? rangeValues(range) : itemsOf(text, form.kinds[name]);
      if (more.length) values[name] = more;
    } catch (error) {
      form.problem = { field: name, text: `${error.message[0].toUpperCase()}${error.message.slice(1)}.` };
      return null;
    }
  }
  const seeds = form.seeds.trim();
  if (!/^\d+$/.test(seeds) || Number(seeds) < least) {
    form.problem = { field: "seeds", text: least > 1 ? `Give ${least} or more; there are ${least} already.` : "Give 1 or more." };
    return null;
  }
  if (!Object.keys(values).length && Number(seeds) === least) {
    form.problem = { field: null, text: "Give more values, or more seeds." };
    return null;
  }
  return { values, jobs_per_variant: Number(seeds) };
}

/** Return at which field a refusal belongs. */
function problemIn(error, knobs) {
  const axes = knobs.map((knob) => ({ key: knob.name, form: "setting" }));
  const found = problemOf(error.message, { axes, config: [], objective: "" });
  const name = knobs.find((knob) => found.field?.startsWith(`axis ${knob.name} `))?.name;
  return { field: found.field === "jobs" ? "seeds" : name ?? null, text: found.field ? found.text : error.message };
}

function template({ knobs, form, send, set, close, least }) {
  const field = ({ name }, place) => html`<div class="field">
    <label for=${`more-${place}`}>More values of ${name}</label>
    <textarea
      id=${`more-${place}`}
      rows="2"
      placeholder=${hint(form.kinds[name])}
      .value=${live(form.typed[name])}
      aria-invalid=${form.problem?.field === name ? "true" : nothing}
      aria-describedby=${form.problem?.field === name ? `wrong-${place}` : nothing}
      @input=${(event) => set(() => (form.typed[name] = event.target.value))}
    ></textarea>
    ${form.problem?.field === name ? html`<p class="error" id=${`wrong-${place}`}>${form.problem.text}</p>` : ""}
  </div>`;
  return html`<form novalidate @submit=${send}>
    <h2>Extend</h2>
    ${knobs.map(field)}
    <div class="field">
      <label for="more-seeds">Seeds for each value</label>
      <input
        id="more-seeds"
        inputmode="numeric"
        autocomplete="off"
        .value=${live(form.seeds)}
        aria-invalid=${form.problem?.field === "seeds" ? "true" : nothing}
        aria-describedby=${form.problem?.field === "seeds" ? "wrong-seeds" : nothing}
        @input=${(event) => set(() => (form.seeds = event.target.value))}
      />
      ${least > 1 ? html`<small>there are ${least} now</small>` : ""}
      ${form.problem?.field === "seeds" ? html`<p class="error" id="wrong-seeds">${form.problem.text}</p>` : ""}
    </div>
    ${form.problem && form.problem.field === null ? html`<p class="error" role="alert" tabindex="-1">${form.problem.text}</p>` : ""}
    <div class="row">
      <button class="primary" ?disabled=${form.isSending}>Plan them</button>
      <button type="button" @click=${close}>Leave</button>
    </div>
  </form>`;
}

function hint(knob) {
  if (knob?.choices?.length) return knob.choices.slice(0, 4).join(", ");
  return knob?.kind === "str" ? "one text a line" : "3, 6 or 1 to 3 by 0.5";
}
