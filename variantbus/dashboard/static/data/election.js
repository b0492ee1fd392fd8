// Where browsers have no shared workers: the pages elect one of them, which has the stream for all. They talk on a channel.

import { Hub } from "./hub.js";

const WAIT = 150; // ms in which a leader answers
const BEAT = 4000; // ms between two questions whether it is still there
const SILENT = 13000; // ms after which another page leads: the leader has crashed, or the system has frozen it

/** A port to the feed, as a shared worker has one: `postMessage`, and `onmessage` which is called. */
export class ElectedPort {
  constructor(base) {
    this.base = base;
    this.onmessage = null;
    this.me = `${Date.now()}.${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
    this.channel = new BroadcastChannel(`variantbus feed${base}`);
    this.far = new Map(); // page -> its port at our hub, while this page leads
    this.near = { postMessage: (data) => this.onmessage?.({ data }) };
    this.hub = null; // while this page leads
    this.since = 0; // when it began to
    this.leader = null;
    this.heard = 0;
    this.last = null; // what was said last: what we look at
    this.timer = 0;
    const hear = {
      who: () => this.hub && this.announce(),
      lead: (said) => this.follow(said),
      over: ({ from }) => from === this.leader && this.seek(),
      up: ({ to, from, message }) => to === this.me && this.hub?.hear(this.portOf(from), message),
      down: (said) => this.receive(said),
    };
    this.channel.onmessage = ({ data }) => hear[data.kind]?.(data);
    setInterval(() => this.beat(), BEAT);
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", (event) => event.persisted && this.seek());
    this.seek();
  }

  /** Another page says that it leads. */
  follow({ from, since }) {
    if (this.hub && (since < this.since || (since === this.since && from < this.me))) return this.announce(); // the one who began last leads
    this.resign();
    clearTimeout(this.timer);
    this.heard = Date.now();
    if (this.leader === from) return;
    this.leader = from;
    if (this.last) this.send(this.last);
  }

  /** The leader tells a page something. */
  receive({ to, from, message }) {
    if (to !== this.me || from !== this.leader) return;
    this.heard = Date.now();
    this.onmessage?.({ data: message });
  }

  postMessage(message) {
    this.last = message.kind === "look" ? message : this.last;
    if (this.leader) this.send(message);
  }

  send(message) {
    if (this.hub) this.hub.hear(this.near, message);
    else this.channel.postMessage({ kind: "up", from: this.me, to: this.leader, message });
  }

  /** Ask who leads, and lead where nobody answers. */
  seek() {
    this.leader = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lead(), WAIT * (1 + Math.random()));
    this.channel.postMessage({ kind: "who" });
  }

  lead() {
    this.since = Date.now();
    this.leader = this.me;
    this.hub = new Hub(this.base);
    this.announce();
    if (this.last) this.send(this.last);
  }

  announce() {
    this.channel.postMessage({ kind: "lead", from: this.me, since: this.since });
  }

  resign() {
    this.hub?.close();
    this.hub = null;
    this.far.clear();
  }

  beat() {
    if (this.hub) return;
    if (this.leader && Date.now() - this.heard > SILENT) this.seek();
    else this.channel.postMessage({ kind: "who" });
  }

  leave() {
    if (this.hub) this.channel.postMessage({ kind: "over", from: this.me });
    else if (this.leader) this.send({ kind: "bye" });
    this.resign();
    clearTimeout(this.timer);
    this.leader = null;
  }

  portOf(page) {
    if (!this.far.has(page)) this.far.set(page, { postMessage: (message) => this.channel.postMessage({ kind: "down", from: this.me, to: page, message }) });
    return this.far.get(page);
  }
}
