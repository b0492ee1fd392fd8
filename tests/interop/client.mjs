// A subscriber to one prefix, written from docs/protocol.md alone. It prints JSON lines: `ready` once its subscriptions
// are active, `event` for each event of the prefix in order, `gap` where it had to fetch, `ephemeral`, and at the end
// `latest`.
//
//     node client.mjs CONTROL PREFIX COUNT SECONDS
//
// ends after COUNT events, and fails if anything takes more than SECONDS. With CURVE_PUBLIC, CURVE_SECRET and CURVE_SERVER
// in the environment, it speaks with keys.
//
// Decoded with useBigInt64, a number that was sent in 64 bits is a BigInt and a smaller one a Number; `big` makes
// offsets and epochs BigInts whatever their size. They are printed as texts, as JSON readers make doubles of them.

import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";

const VERSION = 1;
const HEARTBEAT = "~heartbeat.";
const PAGE = 3; // small, so that the test sees several pages
const [address, prefix, count, seconds] = process.argv.slice(2);
const patience = Number(seconds) * 1000;
const { CURVE_PUBLIC, CURVE_SECRET, CURVE_SERVER } = process.env;
const curve = CURVE_SERVER
  ? { curvePublicKey: CURVE_PUBLIC, curveSecretKey: CURVE_SECRET, curveServerKey: CURVE_SERVER }
  : {};
const tokens = prefix.split(".").length - 1;

const big = (number) => BigInt(number);
const unpack = (bytes) => decode(bytes, { useBigInt64: true });
const print = (what, fields) => {
  const text = (_, value) => (typeof value === "bigint" ? value.toString() : value);
  process.stdout.write(JSON.stringify({ what, ...fields }, text) + "\n");
};

class Control {
  #socket = new Dealer({ linger: 0, receiveTimeout: patience, ...curve });
  #asked = 0;

  constructor(address) {
    this.#socket.connect(address);
  }

  async ask(method, params = {}) {
    const id = String(++this.#asked);
    await this.#socket.send([id, method, encode(params, { useBigInt64: true })]);
    for (;;) {
      const [answered, status, result] = await this.#socket.receive();
      if (answered.toString() !== id) continue; // the late answer to another request
      if (status.toString() === "ok") return unpack(result);
      throw new Error(`${method}: ${unpack(result).message}`);
    }
  }

  close() {
    this.#socket.close();
  }
}

class Follower {
  #position = 0n; // every event of the prefix up to here is printed
  #left = Number(count);

  constructor(control, epoch) {
    this.control = control;
    this.epoch = epoch;
  }

  get done() {
    return this.#left <= 0;
  }

  // A feed message. Its chain says which event of the prefix comes before it.
  async message(topic, [version, epoch, offset, chain, , body]) {
    if (version !== VERSION) return;
    this.#check(epoch);
    if (big(offset) === 0n) return print("ephemeral", { topic, job_id: body.job_id });
    if (big(offset) <= this.#position) return;
    const previous = tokens === 0 ? big(offset) - 1n : chain[tokens - 1];
    if (previous === null) await this.#fetch(big(offset) - 1n);
    else if (big(previous) > this.#position) await this.#fetch(big(previous));
    this.#event("live", offset, topic, body);
  }

  // A heartbeat. If its head is beyond our position, something may have been lost that no later message will show.
  async heartbeat([version, epoch, head]) {
    if (version !== VERSION) return;
    this.#check(epoch);
    if (big(head) <= this.#position) return;
    const reply = await this.control.ask("check", { prefix, after: this.#position });
    this.#check(reply.epoch);
    if (big(reply.last) > 0n) await this.#fetch(big(reply.last));
    else this.#position = big(reply.head);
  }

  async #fetch(until) {
    print("gap", { after: this.#position, until });
    while (this.#position < until) {
      const page = await this.control.ask("fetch", { prefix, after: this.#position, until, limit: PAGE });
      this.#check(page.epoch);
      if (big(page.first) - 1n > this.#position) throw new Error("retention has taken what is missing");
      for (const [offset, topic, , body] of page.events) this.#event("fetched", offset, topic, body);
      this.#position = big(page.next);
    }
  }

  #event(how, offset, topic, body) {
    print("event", { how, offset: big(offset), topic, type: body.type, job_id: body.job_id });
    this.#position = big(offset);
    this.#left -= 1;
  }

  // A client that stores its position would go on as the section "Epochs" says; this one has none to keep.
  #check(epoch) {
    if (big(epoch) !== this.epoch) throw new Error(`epoch ${epoch} instead of ${this.epoch}`);
  }
}

// Subscribe to the prefix first and to the heartbeat last, and ask until one arrives: then both are active.
async function subscribe(feed, control) {
  feed.subscribe(prefix);
  feed.subscribe(HEARTBEAT);
  const waiting = [];
  const end = Date.now() + patience;
  feed.receiveTimeout = 100;
  while (Date.now() < end) {
    await control.ask("heartbeat");
    try {
      const [topic, frame] = await feed.receive();
      waiting.push([topic.toString(), unpack(frame)]);
      if (topic.toString() === HEARTBEAT) {
        feed.receiveTimeout = patience;
        return waiting;
      }
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
  throw new Error("no heartbeat came");
}

async function latest(control) {
  const events = [];
  let after = "";
  do {
    const page = await control.ask("latest", { prefix, limit: PAGE, after_topic: after });
    events.push(...page.events.map(([offset, topic, , body]) => ({ offset: big(offset), topic, job_id: body.job_id })));
    after = page.next;
  } while (after !== "");
  return events;
}

async function main() {
  const control = new Control(address);
  const feed = new Subscriber({ linger: 0, ...curve });
  try {
    const info = await control.ask("info");
    if (info.protocol !== VERSION) throw new Error(`protocol ${info.protocol}`);
    feed.connect(info.feed);
    const follower = new Follower(control, big(info.epoch));
    const handle = ([topic, frame]) =>
      topic === HEARTBEAT ? follower.heartbeat(frame) : follower.message(topic, frame);
    const waiting = await subscribe(feed, control);
    const [, , head] = waiting.at(-1)[1];
    print("ready", { epoch: follower.epoch, head: big(head), service: info.service });
    for (const received of waiting) await handle(received);
    while (!follower.done) {
      const [topic, frame] = await feed.receive();
      await handle([topic.toString(), unpack(frame)]);
    }
    print("latest", { events: await latest(control) });
  } finally {
    feed.close();
    control.close();
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
