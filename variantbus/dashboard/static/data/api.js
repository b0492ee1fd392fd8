// Requests to the server of this page. A refused request throws an Error whose message is a sentence for people.

import { parse, stringify } from "./values.js";

const token = document.querySelector('meta[name="token"]').content;

/** Send a request that changes nothing. */
export async function get(path) {
  return answer(await reached(fetch(path, { headers: { accept: "application/json" } })));
}

/** Send a request that changes something. */
export async function post(path, body = {}) {
  const headers = { "content-type": "application/json", "x-token": token };
  return answer(await reached(fetch(path, { method: "POST", headers, body: stringify(body) })));
}

/** Send a file as it is, and return what the server reads in it. */
export async function sendFile(path, blob) {
  const headers = { "content-type": "application/octet-stream", "x-token": token };
  return answer(await reached(fetch(path, { method: "POST", headers, body: blob })));
}

/** Return the URL of a part of an experiment. */
export function of(id, ...parts) {
  return ["/api/experiments", encodeURIComponent(id), ...parts].join("/");
}

/** Return the URL of a picture. */
export function picture(sha256, thumbnail = true) {
  return `/images/${sha256}${thumbnail ? "?thumbnail=1" : ""}`;
}

/** Return the URL from which a player takes a video or a sound. */
export function media(sha256) {
  return `/media/${sha256}`;
}

/** Return the URL under which a result is saved as it is. */
export function file(sha256) {
  return `/files/${sha256}`;
}

/** Return the URL of what a running job has made so far; each number is another picture. */
export function preview(job, number) {
  return `/preview?${new URLSearchParams({ job, number })}`;
}

async function reached(request) {
  try {
    return await request;
  } catch {
    throw new Error("the dashboard's server does not answer; is it running?");
  }
}

async function answer(response) {
  const body = await response.text().then(parse).catch(() => ({ error: `the server answers ${response.status}` }));
  if (!response.ok) throw Object.assign(new Error(body.error ?? `the server answers ${response.status}`), { status: response.status });
  return body;
}
