// Archiving and deleting an experiment; to delete asks first.

import { of, post } from "../../data/api.js";
import { h, fill } from "../../base/dom.js";
import { complain, say } from "../../base/toast.js";
import { state } from "../../data/state.js";

const ENDED = ["completed", "partial", "failed", "cancelled"];

export function putAway(id) {
  const shelf = h("button", { onclick: archive });
  const element = h("span", { class: "row" }, shelf, h("button", { class: "danger", onclick: ask }, "Delete"));

  async function archive() {
    const isArchived = state.open.status?.archived;
    await change(isArchived ? "unarchive" : "archive", isArchived ? "taken out of the archive" : "archived: the list shows it under Archived");
  }

  function ask() {
    const status = state.open.status;
    if (!status) return;
    if (!ENDED.includes(status.status)) return complain("It has not ended. Cancel it first, or wait for its end.");
    const pictures = new Set([...state.open.variants.values()].flatMap((one) => one.images.map((image) => image.sha256))).size;
    const title = h("h2", { id: "delete-title" }, `Delete ${status.experiment_name}?`);
    const text = h("p", { id: "delete-text" }, `Its jobs, ratings and ${pictures === 1 ? "one result" : `${pictures} results`} are deleted for good; only results that another experiment has made, too, stay. An export can be imported again, without the files.`);
    const dialog = h(
      "dialog",
      { class: "small", role: "alertdialog", "aria-labelledby": "delete-title", "aria-describedby": "delete-text", onclose: () => dialog.remove() },
      h("form", { method: "dialog", onsubmit: (event) => event.submitter?.value === "ok" && change("delete") }, title, text, h("div", { class: "row" }, h("button", { value: "no", autofocus: true }, "Keep it"), h("button", { class: "danger", value: "ok" }, "Delete for good"))),
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  async function change(what, said) {
    try {
      await post(of(id, what));
      if (said) say(said); // of a deletion, all pages are told by an event
    } catch (error) {
      complain(error.message);
    }
  }

  return { element, update: () => fill(shelf, state.open?.status?.archived ? "Unarchive" : "Archive") };
}
