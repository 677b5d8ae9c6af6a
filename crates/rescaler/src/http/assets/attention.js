// What is wrong with a job, and how it is: words for the kinds and states of the interface.

import { el } from "./text.js";

const STATES = { "running": "running", "paused": "paused", "dry-run": "dry run", "no-data": "no data", "failed": "failed", "waiting": "waiting", "starting": "starting" };
const TITLES = {
  "add-task-managers": "Add task managers", "alarm": "Act", "cannot-help": "More subtasks would not help", "change-failed": "Change failed", "drift": "Changed by hand",
  "no-data": "No data", "not-published": "Not published", "not-watched": "Not watched", "over-bound": "Over the bound", "recommendations": "Recommendations only",
  "waiting": "Waiting",
};

/** The state as it is shown. While data comes, a job without a decision waits; it is not without data. */
export function state(job) {
  if (job.state !== "no-data" || job.attention.some((found) => found.kind === "no-data")) return job.state;
  return job.attention.length > 0 ? "waiting" : "starting";
}

/** The state as a word in its colour. */
export function chip(job) {
  const now = state(job);
  return el("span", { class: `chip ${now}` }, STATES[now] ?? now);
}

export const title = (found) => TITLES[found.kind] ?? found.kind;

/** Fills the list; what has not changed is not announced anew. */
export function show(place, attention) {
  const words = JSON.stringify(attention);
  if (place.dataset.words === words) return;
  place.dataset.words = words;
  place.hidden = attention.length === 0;
  place.replaceChildren(...attention.map((found) => el("li", { class: found.severity, "data-kind": found.kind }, el("b", {}, title(found)), " ", el("span", {}, found.text))));
}
