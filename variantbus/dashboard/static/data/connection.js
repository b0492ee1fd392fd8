// The feed of this page: one stream for all pages of the browser, so that many can be open.
// A browser has six connections for a server, and a stream holds one of them.

import { base } from "./api.js";
import { ElectedPort } from "./election.js";

/**
 * Connect to the feed; return `{ look }`, which says what experiment this page shows, null for none.
 *
 * `hear` has a function for each thing that the feed says: `live({ stream, token })`, once it carries the events of what is
 * looked at; `away()`, `event(text)`, `system(text)`, and `reload()`, where it has a gap.
 */
export function connectFeed(hear) {
  let last = { kind: "look", experiment: null, number: 0 };
  let port = null;
  const HEARD = {
    live: (said) => said.number === last.number && hear.live(said), // not of what it has looked at before
    away: () => hear.away(),
    event: (said) => hear.event(said.data),
    system: (said) => hear.system(said.data),
    reload: () => hear.reload(),
    there: () => port.postMessage({ kind: "here" }),
    dropped: () => lookAgain(),
  };

  function take(made) {
    port = made;
    port.onmessage = ({ data }) => HEARD[data.kind]?.(data);
    if (last.number) port.postMessage(last);
  }

  function look(experiment) {
    last = { kind: "look", experiment, number: last.number + 1 };
    port.postMessage(last);
  }

  /** The feed does not know this page any more, as when it was frozen: what it shows is old. */
  function lookAgain() {
    hear.away();
    look(last.experiment);
  }

  if (typeof SharedWorker === "undefined") take(new ElectedPort(base));
  else {
    const worker = new SharedWorker(new URL("./feed-worker.js", import.meta.url), { type: "module", name: `variantbus feed${base}` });
    worker.onerror = () => take(new ElectedPort(base)); // as where workers are forbidden
    take(worker.port);
  }
  addEventListener("pagehide", () => port.postMessage({ kind: "bye" }));
  addEventListener("pageshow", (event) => event.persisted && lookAgain());
  return { look };
}
