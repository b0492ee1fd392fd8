// The buttons of an answer: the one that helps now comes first, and is the only one in colour.

import { copy } from "../../base/clipboard.js";
import { confirm } from "../../base/dialog.js";
import { html } from "../../base/html.js";
import { icon } from "../../base/icons.js";
import { menu } from "../../base/menu.js";
import { linkTo } from "../../base/routes.js";
import { complain, say } from "../../base/toast.js";
import { of, post } from "../../data/api.js";
import { state } from "../../data/state.js";
import { decideBy, isOfPeople, objectiveNow, objectiveText } from "../../feedback/objective.js";
import { cardOf } from "./card.js";

const FILES = { "report.html": "Report", "export.json": "Export JSON", "export.csv": "Export CSV" };

/** Return the buttons; `next` is what helps now, `card` what a card of the answer says, null if there is none. */
export function actions(next, { id, status, made, more = "", card = null, apply }) {
  const canApply = made?.value !== null && made?.value !== undefined;
  return html`<div class="bar deeds">
      ${first(next, { id, status, made, apply })}
      ${canApply && next.act !== "apply" ? html`<button @click=${apply}>${icon("check")}Apply</button>` : ""}
      ${next.act === "apply" && isOfPeople() ? html`<a class="button" href=${linkTo(["e", id, "rate"])}>${icon("star")}Rate more</a>` : ""}
      <span class="kept">${card ? html`<button @click=${() => save(card)}>${icon("image")}Save as picture</button>` : ""}${files(id)}</span>
    </div>
    ${more && next.act !== "apply" ? html`<p class="more-helps">${more.charAt(0).toUpperCase()}${more.slice(1)}.</p>` : ""}`;
}

/** Return the main button. */
function first(next, { id, status, made, apply }) {
  const link = (to, name, text) => html`<a class="button primary" href=${to}>${icon(name)}${text}</a>`;
  const button = (name, text, act) => html`<button class="primary" @click=${act}>${icon(name)}${text}</button>`;
  switch (next.act) {
    case "apply":
      return button("check", "Apply", apply);
    case "rate":
      return link(linkTo(["e", id, "rate"]), "star", `${objectiveNow() === "preference" ? "Compare" : "Rate"} ${made?.tier === "none" || !made ? "the pictures" : "more"}`);
    case "retry":
      return button("retry", "Retry the failed jobs", () => change(id, "retry", "planned again"));
    case "decide":
      return button("swap", `Let ${objectiveText(next.to)} decide`, () => decideBy(id, { objective: next.to }));
    case "seeds":
      return button("plus", `Run ${next.seeds} more ${next.seeds === 1 ? "seed" : "seeds"} of each value`, () => addSeeds(id, status, next.seeds));
    case "again":
      return link(linkTo(["new"], { from: id }), "retry", "Search again with a larger budget");
    default:
      return status.search?.state === "searching" ? link(linkTo(["e", id, "search"]), "search", "See the search") : link(linkTo(["e", id, "grid"]), "grid", "See the pictures");
  }
}

/** Return the files of an experiment. */
function files(id) {
  return menu(state.open, "Report and exports", Object.entries(FILES).map(([name, text]) => ({ text, icon: "download", href: of(id, name) })));
}

/** Plan more seeds for every value, once the person has seen how many jobs that is. */
async function addSeeds(id, { definition, totals }, seeds) {
  const now = definition.jobs_per_variant ?? 1;
  const jobs = seeds * totals.variants * (definition.blocks?.length || 1);
  const question = `Run ${jobs} more jobs?`;
  const text = `Each of the ${totals.variants} values gets ${seeds === 1 ? "one more seed" : `${seeds} more seeds`}, the same under every value.`;
  if (await confirm(question, text, { yes: "Run them", no: "Not now" })) await change(id, "extend", "planned", { jobs_per_variant: now + seeds });
}

async function change(id, what, said, body) {
  try {
    await post(of(id, what), body);
    say(said);
  } catch (error) {
    complain(error.message);
  }
}

/** Save the card of the answer as a picture. */
async function save(card) {
  try {
    const url = URL.createObjectURL(await cardOf(card));
    const link = Object.assign(document.createElement("a"), { href: url, download: `${card.name.replace(/[^\p{L}\p{N} ._-]+/gu, "").trim().slice(0, 80) || "answer"}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    say(`saved as ${link.download}`);
  } catch (error) {
    complain(error.message);
  }
}

/** Return the job with the recommended value, ready to run. */
export function application(id, text, close) {
  const take = () => copy(text).then(() => say("copied"), (error) => complain(error.message));
  return html`<div class="applied">
    <div class="bar"><h3>The job that is ready to run</h3><span class="space"></span><button class="plain" aria-label="Close" @click=${close}>${icon("close")}</button></div>
    <pre tabindex="0" role="region" aria-label="The job">${text}</pre>
    <div class="bar"><button @click=${take}>${icon("copy")}Copy</button><a class="button" href=${of(id, "job.toml")} download>${icon("download")}Save</a>
      <code>variantbus apply ${id} --to FILE</code></div>
  </div>`;
}
