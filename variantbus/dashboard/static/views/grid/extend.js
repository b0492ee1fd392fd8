// More values of the variables, or more seeds for each of them.

import { of, post } from "../../data/api.js";
import { html } from "../../base/html.js";
import { openDialog } from "../../base/dialog.js";
import { complain, say } from "../../base/toast.js";
import { state } from "../../data/state.js";
import { listed } from "../../data/values.js";

const SEEDS = " seeds"; // the name of a field; no variable begins with a space

/** Ask what is to be planned, and plan it. */
export function openExtend(id) {
  const definition = state.open.status.definition;
  const names = definition.variable ? [definition.variable.name] : definition.variables.map((one) => one.name);
  const seeds = definition.jobs_per_variant ?? 1;

  async function send(event, close) {
    event.preventDefault(); // what was typed stays if it is refused
    const typed = new FormData(event.target);
    try {
      const given = names.map((name) => [name, listed(typed.get(name))]).filter(([, values]) => values.length);
      await post(of(id, "extend"), { values: Object.fromEntries(given), jobs_per_variant: Number(typed.get(SEEDS)) });
      close();
      say("planned");
    } catch (error) {
      complain(error.message);
    }
  }

  const field = (name) => html`<label class="field"><span>More values of ${name}</span><input name=${name} placeholder=${'3, 6 or red, "a, b", ""'} /></label>`;
  openDialog(
    (close) => html`<form @submit=${(event) => send(event, close)}>
      <h2>Extend</h2>
      ${names.map(field)}
      <label class="field"><span>Seeds for each value</span><input name=${SEEDS} type="number" min=${seeds} max="256" .value=${String(seeds)} /></label>
      <div class="row"><button class="primary">Plan them</button><button type="button" @click=${close}>Leave</button></div>
    </form>`,
    { label: "Extend" },
  );
}
