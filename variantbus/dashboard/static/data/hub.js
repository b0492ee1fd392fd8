// One stream of events for all pages of a browser: who looks at what, and which event goes to whom.
// It runs in a shared worker, or in one of the pages where there are none.

const AGAIN = 1000; // ms until a stream that was lost is opened again
const ASK = 10000; // ms between two questions whether a page is still there
const GONE = 60000; // ms after which a page that does not answer is forgotten: it has crashed, or is frozen
const SILENT = 30000; // ms without an event, where the health of the processes comes every few seconds
const MOST = 50; // experiments in an address; more are told afterwards
const EVERYBODY = /^(?:experiment\.status|event\.rejected)\./;
const SUBJECT = /^\{"topic":"(?:[^".]*\.){2}([^".]*)\./; // the third token of a topic is the experiment

/**
 * Return `{ hear, close }`: `hear(port, message)` takes what a page says, which is told by `postMessage` of its port.
 *
 * A page says `{ kind: "look", experiment, number }`, `here` when it was asked, and `bye`. It is told `live` with the number
 * once the stream carries what it looks at, `away` when the stream is lost, `event` and `system` with a text, `reload` after a
 * gap, and `dropped` where it was forgotten and has to look again. `base` comes before the addresses.
 */
export function makeHub(base) {
  const pages = new Map(); // port -> { experiment, number, heard, isLive }
  let source = null;
  let stream = null; // { stream, token }, once it is there
  let carried = new Set(); // experiments whose events the stream carries
  let isAsking = false;
  let heard = 0;
  let health = null;
  let timer = 0;
  const clock = setInterval(look, ASK);

  function wanted() {
    return new Set([...pages.values()].map((page) => page.experiment).filter((one) => one !== null));
  }

  function open() {
    clearTimeout(timer);
    timer = 0;
    if (source || !pages.size) return;
    const first = [...wanted()].slice(0, MOST);
    const parameters = new URLSearchParams(first.map((one) => ["experiment", one]));
    heard = Date.now();
    source = new EventSource(`${base}/api/events?${parameters}`);
    source.addEventListener("hello", ({ data }) => {
      stream = JSON.parse(data);
      carried = new Set(first);
      settle();
    });
    source.addEventListener("message", ({ data }) => (alive(), share(data)));
    source.addEventListener("system", ({ data }) => (alive(), (health = data), tellAll({ kind: "system", data })));
    source.addEventListener("reload", () => (alive(), tellAll({ kind: "reload" })));
    source.onerror = lose;
  }

  function alive() {
    heard = Date.now();
  }

  /** The stream is lost, as when the server was stopped: another one begins, and all pages load what they show again. */
  function lose() {
    source?.close();
    source = stream = health = null;
    for (const page of pages.values()) page.isLive = false;
    tellAll({ kind: "away" });
    clearTimeout(timer);
    timer = setTimeout(open, AGAIN);
  }

  /** Let the stream carry what is looked at, and tell each page once it does. */
  async function settle() {
    if (!stream) return;
    for (const [port, page] of pages) {
      if (page.isLive || !(page.experiment === null || carried.has(page.experiment))) continue;
      page.isLive = true;
      port.postMessage({ kind: "live", number: page.number, ...stream });
      if (health) port.postMessage({ kind: "system", data: health });
    }
    const now = wanted();
    if (isAsking || isSame(now, carried)) return;
    isAsking = true;
    const asked = stream;
    const isTaken = await change(`${base}/api/streams/${asked.stream}`, asked.token, [...now]);
    isAsking = false;
    if (asked !== stream) return settle(); // it was lost meanwhile
    if (!isTaken) return lose();
    carried = now;
    settle();
  }

  /** Send an event to the pages that it is for, without reading more of it than its topic. */
  function share(data) {
    if (EVERYBODY.test(data.slice('{"topic":"'.length))) return tellAll({ kind: "event", data });
    const experiment = experimentOf(data);
    if (experiment === null) return;
    for (const [port, page] of pages) if (page.experiment === experiment) port.postMessage({ kind: "event", data });
  }

  function tellAll(message) {
    for (const port of pages.keys()) port.postMessage(message);
  }

  /** See whether pages and stream are still there. */
  function look() {
    const now = Date.now();
    for (const [port, page] of pages) {
      if (now - page.heard > GONE) {
        leave(port);
        port.postMessage({ kind: "dropped" });
      } else port.postMessage({ kind: "there" });
    }
    if (source && now - heard > SILENT) lose();
  }

  function hear(port, message) {
    if (message.kind === "bye") return leave(port);
    const page = pages.get(port);
    if (page) page.heard = Date.now();
    if (message.kind !== "look") return;
    pages.set(port, { experiment: message.experiment, number: message.number, heard: Date.now(), isLive: false });
    if (!source && !timer) open();
    settle();
  }

  function leave(port) {
    if (!pages.delete(port)) return;
    if (pages.size) return settle();
    source?.close();
    source = stream = null;
  }

  function close() {
    clearInterval(clock);
    clearTimeout(timer);
    source?.close();
    pages.clear();
    source = stream = null;
  }

  return { hear, close };
}

function experimentOf(data) {
  try {
    return decodeURIComponent(SUBJECT.exec(data)[1]);
  } catch {
    return null; // it belongs to none
  }
}

/** Tell the server what the stream has to carry; return whether it does. */
async function change(path, token, experiments) {
  const headers = { "content-type": "application/json", "x-token": token };
  const body = JSON.stringify({ experiments });
  try {
    const answer = await fetch(path, { method: "POST", headers, body });
    await answer.text(); // an answer that is not read is kept
    return answer.ok;
  } catch {
    return false;
  }
}

function isSame(one, other) {
  return one.size === other.size && [...one].every((each) => other.has(each));
}
