// One picture in full, with arrow keys through the grid; two values side by side under a slider, zoomed together.

import { of, post } from "../../data/api.js";
import { h, fill, stars } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { numberText } from "../../base/text.js";
import { filesView } from "../../results/files.js";
import { askedAbout, fullView, kindOf, together } from "../../results/media.js";
import { state, unknownState, watch } from "../../data/state.js";
import { conditionText, valueText } from "../../data/values.js";

/** Open it at a cell. `at(column, row)` returns variant, seed and key of a place. */
export function openViewer({ across, down, column, row, at }) {
  let other = null; // the place it is compared with
  let zoom = { scale: 1, x: 0, y: 0 };
  let split = 50;
  let flipped = null; // whether the other one is shown instead; null: both, divided by the slider
  let part = 0; // of several results of a job
  let isTold = false; // that something else than ratings decides
  const stage = h("div", { class: "stage", onwheel: wheel, onpointerdown: drag });
  const about = h("div", { class: "about" });
  const slider = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "How much is seen of each", oninput: () => ((split = Number(slider.value)), (flipped = null), place()) });
  const dialog = h("dialog", { class: "viewer", "aria-label": "Picture", tabindex: -1, onkeydown: key, onclose: close }, stage, h("div", { class: "below" }, about, slider, h("div", { class: "row" }, h("button", { onclick: compare }, "Compare"), h("button", { onclick: () => dialog.close() }, "Close"))), h("p", { class: "keys" }, "arrows: move · 1–5: stars · x: reject · u: undo · PgUp PgDn: other results of the job · c: compare with the next value · space: flip · wheel: zoom · 0: whole picture · Esc: close"));
  const unwatch = watch((changes) => (changes.has("ratings") || [...changes].some((one) => one.startsWith("cell "))) && draw());
  document.body.append(dialog);
  dialog.showModal();
  draw();
  dialog.focus();

  function resultsAt(where) {
    return askedAbout(state.open?.cells.get(where.key)?.images ?? []);
  }

  function imageAt(where) {
    const results = resultsAt(where);
    return results[part % results.length] ?? null;
  }

  function here() {
    return at(column, row);
  }

  function draw() {
    const where = here();
    const image = imageAt(where);
    const cell = state.open?.cells.get(where.key);
    const shown = [image, other && imageAt(other)].filter(Boolean);
    const results = resultsAt(where);
    const files = cell?.images?.filter((one) => !results.includes(one)) ?? [];
    const word = cell?.error ?? (cell?.state === "completed" ? (files.length ? null : "no result") : cell?.state ?? unknownState());
    drawStage(shown, () => (image ? null : word ? h("p", { class: "word" }, word) : filesView(files)), word);
    slider.hidden = !isLayered(shown) || shown.length < 2;
    const rating = image && state.open.ratings.get(image.sha256);
    fill(
      about,
      h("strong", {}, `${where.variant.variable_under_test} ${valueText(where.variant.variant_value)}`),
      other && h("span", {}, " beside ", h("strong", {}, valueText(other.variant.variant_value))),
      h("span", {}, ` · ${conditionText(state.open.status?.definition, where.repeat)}`),
      Object.entries(cell?.metrics ?? {}).map(([name, number]) => h("span", {}, ` · ${name} ${numberText(number)}`)),
      rating && [" ", stars(rating.stars)],
      results.length > 1 && h("span", { class: "parts" }, " ", h("button", { "aria-label": "The result before", onclick: () => turn(-1) }, "‹"), ` ${(part % results.length) + 1} of ${results.length} `, h("button", { "aria-label": "The next result", onclick: () => turn(1) }, "›")),
      image && files.length ? h("details", {}, h("summary", {}, `${files.length} more ${files.length === 1 ? "file" : "files"}`), filesView(files)) : null,
      cell?.warnings?.length ? h("p", { class: "warn" }, cell.warnings.join("; ")) : null,
    );
    place();
  }

  /** Draw the results, unless they are there: a video would begin anew, and a text be asked for. */
  function drawStage(shown, otherwise, word) {
    const key = shown.map((one) => one.sha256).join(" ") || `${here().key} ${word}`;
    if (stage.dataset.shown === key) return;
    stage.dataset.shown = key;
    stage.classList.toggle("beside", shown.length > 1 && !isLayered(shown));
    fill(stage, shown.map((one) => (kindOf(one) === "text" ? filesView([one]) : fullView(one, ""))), otherwise());
    together(stage);
  }

  /** Return whether results can be laid one on the other, as pictures can. */
  function isLayered(shown) {
    return shown.every((one) => kindOf(one) === "picture");
  }

  /** Show another result of the same job. */
  function turn(by) {
    const count = resultsAt(here()).length;
    part = (part + by + count) % count;
    draw();
  }

  /** Apply zoom, slider and flip to the layers; both move together. */
  function place() {
    const layers = [...stage.querySelectorAll(":scope > img")];
    for (const layer of layers) layer.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
    if (layers.length < 2) return;
    const width = stage.clientWidth;
    const cut = (100 * (((split / 100) * width - zoom.x - width / 2) / zoom.scale + width / 2)) / width;
    const share = flipped === null ? Math.min(100, Math.max(0, cut)) : flipped ? 0 : 100;
    layers[1].style.clipPath = `inset(0 0 0 ${share}%)`;
    layers[0].style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  }

  function compare() {
    const next = across.length > 1 && across[0].kind !== "seed" ? [(column + 1) % across.length, row] : [column, (row + 1) % down.length];
    other = other || !at(...next).variant ? null : at(...next);
    flipped = null;
    draw();
  }

  function wheel(event) {
    if (event.target.closest(".files, .text, video, audio")) return; // they are scrolled, or have controls
    event.preventDefault();
    const scale = Math.min(16, Math.max(1, zoom.scale * (event.deltaY < 0 ? 1.2 : 1 / 1.2)));
    const box = stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    const ratio = scale / zoom.scale;
    zoom = scale === 1 ? { scale: 1, x: 0, y: 0 } : { scale, x: x - (x - zoom.x) * ratio, y: y - (y - zoom.y) * ratio };
    place();
  }

  function drag(event) {
    if (event.target.closest(".files, .text, video, audio, a")) return;
    const start = { x: event.clientX - zoom.x, y: event.clientY - zoom.y };
    stage.setPointerCapture(event.pointerId);
    const move = (moved) => {
      if (zoom.scale === 1) return;
      zoom = { ...zoom, x: moved.clientX - start.x, y: moved.clientY - start.y };
      place();
    };
    stage.addEventListener("pointermove", move);
    stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", move), { once: true });
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    if (event.target.matches("video, audio") && /^(Arrow| )/.test(event.key)) return; // it goes on or back
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (moves[event.key]) {
      const to = [Math.min(across.length - 1, Math.max(0, column + moves[event.key][0])), Math.min(down.length - 1, Math.max(0, row + moves[event.key][1]))];
      if (at(...to).variant) [column, row] = to;
      [other, part] = [null, 0];
      draw();
    } else if (["PageUp", "PageDown"].includes(event.key) && resultsAt(here()).length > 1) turn(event.key === "PageUp" ? -1 : 1);
    else if (/^[1-5x]$/.test(event.key)) rate(event.key === "x" ? 1 : Number(event.key), event.key === "x" ? "rejected" : "");
    else if (event.key === "u") send("undo", {});
    else if (event.key === "c") compare();
    else if (event.key === "0") ((zoom = { scale: 1, x: 0, y: 0 }), place());
    else if (event.key === " " && other) {
      flipped = !flipped;
      place();
    } else return;
    event.preventDefault();
  }

  function rate(count, note) {
    const image = imageAt(here());
    if (image) send("rate", { image: image.sha256, stars: count, note });
  }

  async function send(what, body) {
    try {
      const reply = await post(of(state.open.id, what), body);
      if (reply.hint && !isTold) say(reply.hint);
      isTold ||= Boolean(reply.hint);
    } catch (error) {
      complain(error.message);
    }
  }

  function close() {
    unwatch();
    dialog.remove();
  }
}
