// Requests to the server, with a timeout and the headers that a change needs.

import { get, put } from "./store.js";

const TIMEOUT_MS = 8000;
const TOKEN = "rescaler-token";

/** An answer other than the one asked for; `status` is 0 if there was none. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Refused(0, "the rescaler does not answer");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer?.error ?? `status ${response.status}`);
  return answer;
}

// Relative to the page, so that it works behind a path prefix.
const path = (job, rest) => `api/v1/jobs/${encodeURIComponent(job)}${rest}`;

/** All jobs; with a moment, also what has happened to each since then. */
export const jobs = (sinceMs) => ask(sinceMs === undefined ? "api/v1/jobs" : `api/v1/jobs?since_ms=${Math.round(sinceMs)}`);
export const job = (name) => ask(path(name, ""));
export const history = (name, limit) => ask(path(name, limit ? `/history?limit=${limit}` : "/history"));
export const decision = (name, epoch) => ask(path(name, `/decisions/${epoch}`));
export const decisions = (name) => ask(path(name, "/decisions?limit=100"));

/** Presses a switch. The header is one that only our own page and programs can send. */
export function change(name, action, body) {
  const headers = { "x-rescaler": "1", "content-type": "application/json" };
  const token = get("sessionStorage", TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  return ask(path(name, `/${action}`), { method: "POST", headers, body: JSON.stringify(body ?? {}) });
}

/** Keeps the token until the tab is closed; nothing forgets it. */
export function remember(token) {
  put("sessionStorage", TOKEN, token || null);
}
