// What has happened since the last look, as a strip that can be put away.

import * as address from "./address.js";
import { plan } from "./overview.js";
import { ago, el, time } from "./text.js";

const MARKS = 4;

/** Of all jobs. */
export function ofAll(place, answer, sinceMs, putAway) {
  const sums = answer.jobs.filter((job) => job.since).map((job) => job.since);
  const changed = answer.jobs.filter((job) => job.since && job.since.published + job.since.not_published + job.since.not_applied > 0);
  const total = (field) => sums.reduce((sum, since) => sum + since[field], 0);
  const jobs = changed.length > 0 ? [` in ${changed.length} ${changed.length === 1 ? "job" : "jobs"}`] : [];
  show(place, sinceMs, answer.now_ms, [[...words({ published: total("published"), not_published: total("not_published"), not_applied: total("not_applied") })].join(", "), ...jobs], putAway);
}

/** Of one job, with links to its plans. */
export function ofJob(place, job, marks, nowMs, sinceMs, putAway) {
  const new_ = marks.filter((mark) => mark.at_ms > sinceMs);
  const links = new_.slice(-MARKS).reverse().flatMap((mark, index) => [index === 0 ? " (" : ", ", el("a", { href: address.link(job.job, mark.at_ms), title: mark.headline }, plan(mark.headline))]);
  if (links.length > 0) links.push(")");
  const over = job.since.over_bound_ms > 0 ? [`; above the bound for ${time(job.since.over_bound_ms)}`] : [];
  show(place, sinceMs, nowMs, [words(job.since).join(", "), ...links, ...over], putAway);
}

function words(since) {
  const plans = (number, what) => (number > 0 ? [`${number} ${number === 1 ? "change" : "changes"} ${what}`] : []);
  const all = [...plans(since.published, "published"), ...plans(since.not_published, "not published"), ...plans(since.not_applied, "planned only")];
  return all.length > 0 ? all : ["no change"];
}

function show(place, sinceMs, nowMs, parts, putAway) {
  place.hidden = false;
  const button = place.querySelector("button") ?? el("button", { type: "button", class: "quiet" }, "Seen");
  button.onclick = putAway;
  const text = el("span", {}, el("b", {}, `Since you looked, ${ago(nowMs - sinceMs)}: `), ...parts);
  if (place.dataset.words === text.textContent) return;
  place.dataset.words = text.textContent;
  const hadFocus = document.activeElement === button;
  place.replaceChildren(text, button);
  if (hadFocus) button.focus();
}
