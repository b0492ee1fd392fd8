// Where browsers have no shared workers: the pages elect one of them, which has the stream for all. They talk on a channel.

import { makeHub } from "./hub.js";

const WAIT = 150; // ms in which a leader answers
const BEAT = 4000; // ms between two questions whether it is still there
const SILENT = 13000; // ms after which another page leads: the leader has crashed, or the system has frozen it

/** Return a port to the feed, as a shared worker has one: `postMessage`, and `onmessage` which is called. */
export function electedPort(base) {
  const me = `${Date.now()}.${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  const channel = new BroadcastChannel(`variantbus feed${base}`);
  const far = new Map(); // page -> its port at our hub, while this page leads
  const near = { postMessage: (data) => port.onmessage?.({ data }) };
  const port = { postMessage: say, onmessage: null };
  let hub = null; // while this page leads
  let since = 0; // when it began to
  let leader = null;
  let heard = 0;
  let last = null; // what was said last: what we look at
  let timer = 0;

  channel.onmessage = ({ data }) => HEARD[data.kind]?.(data);
  setInterval(beat, BEAT);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && seek());
  seek();

  const HEARD = {
    who: () => hub && announce(),
    lead: ({ from, since: theirs }) => {
      if (hub && (theirs < since || (theirs === since && from < me))) return announce(); // the one who began last leads
      resign();
      clearTimeout(timer);
      heard = Date.now();
      if (leader === from) return;
      leader = from;
      if (last) send(last);
    },
    over: ({ from }) => from === leader && seek(),
    up: ({ to, from, message }) => to === me && hub?.hear(portOf(from), message),
    down: ({ to, from, message }) => {
      if (to !== me || from !== leader) return;
      heard = Date.now();
      port.onmessage?.({ data: message });
    },
  };

  function say(message) {
    last = message.kind === "look" ? message : last;
    if (leader) send(message);
  }

  function send(message) {
    if (hub) hub.hear(near, message);
    else channel.postMessage({ kind: "up", from: me, to: leader, message });
  }

  /** Ask who leads, and lead where nobody answers. */
  function seek() {
    leader = null;
    clearTimeout(timer);
    timer = setTimeout(lead, WAIT * (1 + Math.random()));
    channel.postMessage({ kind: "who" });
  }

  function lead() {
    since = Date.now();
    leader = me;
    hub = makeHub(base);
    announce();
    if (last) send(last);
  }

  function announce() {
    channel.postMessage({ kind: "lead", from: me, since });
  }

  function resign() {
    hub?.close();
    hub = null;
    far.clear();
  }

  function beat() {
    if (hub) return;
    if (leader && Date.now() - heard > SILENT) seek();
    else channel.postMessage({ kind: "who" });
  }

  function leave() {
    if (hub) channel.postMessage({ kind: "over", from: me });
    else if (leader) send({ kind: "bye" });
    resign();
    clearTimeout(timer);
    leader = null;
  }

  function portOf(page) {
    if (!far.has(page)) far.set(page, { postMessage: (message) => channel.postMessage({ kind: "down", from: me, to: page, message }) });
    return far.get(page);
  }

  return port;
}
