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
 * The hub: `hear(port, message)` takes what a page says, which is told by `postMessage` of its port.
 *
 * A page says `{ kind: "look", experiment, number }`, `here` when it was asked, and `bye`. It is told `live` with the number
 * once the stream carries what it looks at, `away` when the stream is lost, `event` and `system` with a text, `reload` after a
 * gap, and `dropped` where it was forgotten and has to look again. `base` comes before the addresses.
 */
export class Hub {
  constructor(base) {
    this.base = base;
    this.pages = new Map(); // port -> { experiment, number, heard, isLive }
    this.source = null;
    this.stream = null; // { stream, token }, once it is there
    this.carried = new Set(); // experiments whose events the stream carries
    this.isAsking = false;
    this.heard = 0;
    this.health = null;
    this.timer = 0;
    this.clock = setInterval(() => this.look(), ASK);
  }

  wanted() {
    return new Set([...this.pages.values()].map((page) => page.experiment).filter((one) => one !== null));
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.source || !this.pages.size) return;
    const first = [...this.wanted()].slice(0, MOST);
    const parameters = new URLSearchParams(first.map((one) => ["experiment", one]));
    this.heard = Date.now();
    this.source = new EventSource(`${this.base}/api/events?${parameters}`);
    this.source.addEventListener("hello", ({ data }) => {
      this.stream = JSON.parse(data);
      this.carried = new Set(first);
      this.settle();
    });
    this.source.addEventListener("message", ({ data }) => (this.alive(), this.share(data)));
    this.source.addEventListener("system", ({ data }) => (this.alive(), (this.health = data), this.tellAll({ kind: "system", data })));
    this.source.addEventListener("reload", () => (this.alive(), this.tellAll({ kind: "reload" })));
    this.source.onerror = () => this.lose();
  }

  alive() {
    this.heard = Date.now();
  }

  /** The stream is lost, as when the server was stopped: another one begins, and all pages load what they show again. */
  lose() {
    this.source?.close();
    this.source = this.stream = this.health = null;
    for (const page of this.pages.values()) page.isLive = false;
    this.tellAll({ kind: "away" });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), AGAIN);
  }

  /** Let the stream carry what is looked at, and tell each page once it does. */
  async settle() {
    if (!this.stream) return;
    for (const [port, page] of this.pages) {
      if (page.isLive || !(page.experiment === null || this.carried.has(page.experiment))) continue;
      page.isLive = true;
      port.postMessage({ kind: "live", number: page.number, ...this.stream });
      if (this.health) port.postMessage({ kind: "system", data: this.health });
    }
    const now = this.wanted();
    if (this.isAsking || isSame(now, this.carried)) return;
    this.isAsking = true;
    const asked = this.stream;
    const isTaken = await change(`${this.base}/api/streams/${asked.stream}`, asked.token, [...now]);
    this.isAsking = false;
    if (asked !== this.stream) return this.settle(); // it was lost meanwhile
    if (!isTaken) return this.lose();
    this.carried = now;
    this.settle();
  }

  /** Send an event to the pages that it is for, without reading more of it than its topic. */
  share(data) {
    if (EVERYBODY.test(data.slice('{"topic":"'.length))) return this.tellAll({ kind: "event", data });
    const experiment = experimentOf(data);
    if (experiment === null) return;
    for (const [port, page] of this.pages) if (page.experiment === experiment) port.postMessage({ kind: "event", data });
  }

  tellAll(message) {
    for (const port of this.pages.keys()) port.postMessage(message);
  }

  /** See whether pages and stream are still there. */
  look() {
    const now = Date.now();
    for (const [port, page] of this.pages) {
      if (now - page.heard > GONE) {
        this.leave(port);
        port.postMessage({ kind: "dropped" });
      } else port.postMessage({ kind: "there" });
    }
    if (this.source && now - this.heard > SILENT) this.lose();
  }

  hear(port, message) {
    if (message.kind === "bye") return this.leave(port);
    const page = this.pages.get(port);
    if (page) page.heard = Date.now();
    if (message.kind !== "look") return;
    this.pages.set(port, { experiment: message.experiment, number: message.number, heard: Date.now(), isLive: false });
    if (!this.source && !this.timer) this.open();
    this.settle();
  }

  leave(port) {
    if (!this.pages.delete(port)) return;
    if (this.pages.size) return this.settle();
    this.source?.close();
    this.source = this.stream = null;
  }

  close() {
    clearInterval(this.clock);
    clearTimeout(this.timer);
    this.source?.close();
    this.pages.clear();
    this.source = this.stream = null;
  }
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
