// Requests to the server of this page. A refused request throws an Error whose message is a sentence for people;
// it has `isAway` where nothing was refused, but somebody did not answer.

import { parse, stringify } from "./values.js";

/** The part of an address before `/api/…`: of a page that is shared it says which one. */
export const base = document.querySelector('meta[name="base"]')?.content ?? "";

/** Whether this page is what others see by a link: nothing can be changed. */
export const isShared = base !== "";

const PATIENCE = 5000; // ms in which the feed brings a token
let token = null; // the permission to change something; each start of the server has its own
const waiting = new Set(); // who waits for a token
let isLeft = false; // the page goes: what it still sends has to outlive it
addEventListener("pagehide", () => (isLeft = true), { capture: true }); // before others send something
addEventListener("pageshow", () => (isLeft = false));

/** Take the token that the feed has brought. */
export function allow(newest) {
  token = newest;
  for (const told of [...waiting]) told();
}

/** Send a request that changes nothing. */
export async function get(path) {
  return answer(await reached(fetch(base + path, { headers: { accept: "application/json" } })));
}

/** Send a request that changes nothing, and return its answer as the text that it is. */
export async function getText(path) {
  const response = await reached(fetch(base + path));
  return response.ok ? response.text() : answer(response);
}

/** Send a request that changes something. One that was refused as the server had been started anew is sent once more. */
export function post(path, body = {}) {
  return send(path, "application/json", stringify(body));
}

/** Send a file as it is, and return what the server reads in it. */
export function sendFile(path, blob) {
  return send(path, "application/octet-stream", blob);
}

/** Send a request whose answer is a file, and return that as a Blob. */
export function postForFile(path, body) {
  return send(path, "application/json", stringify(body), (response) => (response.ok ? response.blob() : answer(response)));
}

async function send(path, kind, body, read = answer) {
  if (isShared) throw new Error("This link only shows; nothing can be changed by it.");
  const once = async (used) => read(await reached(fetch(base + path, { method: "POST", headers: { "content-type": kind, "x-token": used }, body, keepalive: isLeft })));
  const used = await tokenAfter(null);
  try {
    return await once(used);
  } catch (error) {
    if (error.code !== "old_token") throw error;
    const newer = await tokenAfter(used).catch(() => null);
    if (newer === null) throw away();
    return once(newer);
  }
}

/** Return a token that is another one than `used`, as soon as the feed brings it. */
function tokenAfter(used) {
  if (token !== used) return Promise.resolve(token);
  return new Promise((done, fail) => {
    const told = () => {
      if (token !== used) end(done, token);
    };
    const timer = setTimeout(() => end(fail, away()), PATIENCE);
    const end = (what, value) => {
      clearTimeout(timer);
      waiting.delete(told);
      what(value);
    };
    waiting.add(told);
  });
}

/** Return the URL of a part of an experiment. */
export function of(id, ...parts) {
  return ["/api/experiments", encodeURIComponent(id), ...parts].join("/");
}

/** Return the URL of a picture. */
export function picture(sha256, thumbnail = true) {
  return `${base}/images/${sha256}${thumbnail ? "?thumbnail=1" : ""}`;
}

/** Return the URL from which a player takes a video or a sound. */
export function media(sha256) {
  return `${base}/media/${sha256}`;
}

/** Return the URL under which a result is saved as it is. */
export function file(sha256) {
  return `${base}/files/${sha256}`;
}

/** Return the URL of what a running job has made so far; each number is another picture. */
export function preview(job, number) {
  return `${base}/preview?${new URLSearchParams({ job, number })}`;
}

/** Return the error that says that nobody has answered. */
function away(message = "the dashboard's server does not answer; is it running?") {
  return Object.assign(new Error(message), { isAway: true });
}

async function reached(request) {
  try {
    return await request;
  } catch {
    throw away();
  }
}

/** Return what a response says; one that breaks off, or is of somebody in between, is no answer. */
async function answer(response) {
  const { ok, status } = response;
  const body = await response.text().then(parse).catch(() => undefined);
  if (ok && body === undefined) throw away();
  if (!ok) throw Object.assign(new Error(body?.error ?? `the server answers ${status}`), { status, code: body?.code, isAway: status >= 500 });
  return body;
}
