// Requests to the intake service, sent by the browser with the browser's own login; the kernel that delivered this
// script takes no part. Every answer holds text from outside the hospital: it is never read as HTML.

import { make } from "./elements.js";

export const INTAKE = "/services/intake/";
const ENTERED = "au-intake-entered";
// Within this time a second login would only go round in circles.
const ENTER_MS = 60000;
const ANSWER_MS = 20000;

const REFUSED = {
  401: "You are not logged in at the intake.",
  403: "The intake is for data stewards. Ask an administrator if you should have that role.",
  404: "The intake does not know this (any more).",
  409: "Somebody else was faster. The list shows what is still to be decided.",
};
const SILENT = "The intake does not answer: it is not running, or it has no key. What comes in waits in the inbox.";

export class Refusal extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

/**
 * Ask the intake service; with a body the request is a POST.
 * @param {string} path below the service's own address
 * @param {{ body?: object, signal?: AbortSignal }} [options]
 * @throws {Refusal} if the service refuses or does not answer
 */
export async function call(path, { body, signal } = {}) {
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), ANSWER_MS);
  signal?.addEventListener("abort", () => stop.abort());
  /** @type {RequestInit} */
  const options = { cache: "no-store", credentials: "same-origin", signal: stop.signal };
  if (body)
    Object.assign(options, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    });
  let answer;
  try {
    answer = await fetch(INTAKE + path, options);
  } catch {
    throw new Refusal(0, SILENT);
  } finally {
    clearTimeout(late);
  }
  if (!answer.ok) throw new Refusal(answer.status, await readRefusal(answer));
  sessionStorage.removeItem(ENTERED);
  return answer;
}

export async function readRefusal(answer) {
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string" && detail && answer.status !== 401) return detail;
  } catch {
    // The proxy's own pages are not JSON: the intake is not there.
  }
  return REFUSED[answer.status] ?? SILENT;
}

export async function readJson(path) {
  try {
    return await (await call(path)).json();
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(0, SILENT);
  }
}

export async function send(path, body) {
  const answer = await call(path, { body });
  return answer.json().catch(() => ({}));
}

// Returns { url, width, height }; whoever asked gives the URL back with URL.revokeObjectURL.
export async function readPicture(path, signal) {
  const url = URL.createObjectURL(await (await call(path, { signal })).blob());
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    throw new Refusal(0, "The image could not be drawn.");
  }
  return { url, width: image.naturalWidth, height: image.naturalHeight };
}

export function addressOfLogin(next = location.pathname) {
  return `${INTAKE}enter?next=${encodeURIComponent(next)}`;
}

// Whoever is logged in at the hub is let through without being asked: that can happen out of sight, and the page stays.
export async function enterUnseen() {
  const frame = make("iframe", { src: addressOfLogin(`${INTAKE}health`), hidden: true });
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  document.body.append(frame);
  await Promise.race([loaded, new Promise((resolve) => setTimeout(resolve, ANSWER_MS))]);
  frame.remove();
}

// Leaves the page for the login; false where that was tried a moment ago and did not help.
export function enterOnce() {
  if (Date.now() - Number(sessionStorage.getItem(ENTERED) ?? 0) < ENTER_MS) return false;
  sessionStorage.setItem(ENTERED, String(Date.now()));
  location.assign(addressOfLogin());
  return true;
}
