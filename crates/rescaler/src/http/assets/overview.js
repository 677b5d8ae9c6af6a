// All jobs at a glance, those that need a person first.

import * as address from "./address.js";
import * as attention from "./attention.js";
import { ago, count, cut, draw, el, rate, time } from "./text.js";

const SPARK = { width: 96, height: 26 };
const URGENCY = ["act", "warn", "info"];
const HEADS = ["Job", "What is wrong", "Latency", "Input", "Backlog", "Slots", "Last change"];

/** Fills the place with a line for each job that `wanted` (a part of a name) leaves. */
export function show(place, answer, wanted) {
  // A name is being copied.
  if (!getSelection().isCollapsed && place.contains(getSelection().anchorNode)) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const jobs = answer.jobs.filter((job) => job.job.toLowerCase().includes(wanted.toLowerCase()));
  jobs.sort((a, b) => urgency(a) - urgency(b) || a.job.localeCompare(b.job));
  const heads = HEADS.map((head) => el("th", { scope: "col" }, head));
  place.replaceChildren(
    el("thead", {}, el("tr", {}, ...heads)),
    el("tbody", {}, ...jobs.map((job) => line(job, answer.now_ms))));
  if (jobs.length === 0) place.append(el("tbody", {}, el("tr", {}, el("td", { colspan: HEADS.length, class: "words" }, "No job has such a name."))));
  if (focused !== null) [...place.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
}

/** How many jobs there are, and how many need a person. */
export function summary(jobs) {
  const of = (severity) => jobs.filter((job) => job.attention[0]?.severity === severity).length;
  const slots = jobs.reduce((sum, job) => sum + (job.totals?.slots_used ?? 0), 0);
  const parts = [`${jobs.length} ${jobs.length === 1 ? "job" : "jobs"}`, `${count(slots)} slots taken`];
  if (of("act") > 0) parts.push(`${of("act")} ${of("act") === 1 ? "needs" : "need"} you`);
  if (of("warn") > 0) parts.push(`${of("warn")} with a warning`);
  if (of("act") + of("warn") === 0) parts.push("all is well");
  return parts.join(" · ");
}

function urgency(job) {
  const place = URGENCY.indexOf(job.attention[0]?.severity);
  return place < 0 ? URGENCY.length : place;
}

function line(job, nowMs) {
  const totals = job.totals ?? {};
  const cell = (head, ...content) => el("td", { "data-head": HEADS[head] }, ...content);
  return el("tr", { "data-job": job.job, class: job.attention[0]?.severity },
    el("th", { scope: "row", class: "name" }, el("a", { href: address.link(job.job) }, cut(job.job)), " ", attention.chip(job)),
    el("td", { "data-head": HEADS[1], class: "words wrong" }, ...wrong(job)),
    cell(2, delay(job)), cell(3, rate(totals.input_rate_per_s)), cell(4, count(totals.backlog_records)), cell(5, slots(totals)), cell(6, ...change(job, nowMs)));
}

function wrong(job) {
  const worst = job.attention.slice(0, 2).map((found) => el("p", { class: found.severity, "data-kind": found.kind }, el("b", {}, attention.title(found)), " ", found.text));
  const more = job.attention.length - worst.length;
  return more > 0 ? [...worst, el("p", { class: "soft" }, `and ${more} more`)] : worst;
}

/** Latency, or the estimated delay, beside the bound, with the last epochs as a line. */
function delay(job) {
  const measured = job.totals?.latency_ms;
  const isEstimated = typeof measured !== "number" && typeof job.delay_ms === "number";
  const value = isEstimated ? job.delay_ms : measured;
  const isOver = typeof value === "number" && value >= (job.latency_max_ms ?? Infinity);
  const bound = typeof job.latency_max_ms === "number" ? `of ${time(job.latency_max_ms)}` : "";
  const note = [bound, isEstimated ? "estimated" : ""].filter(Boolean).join(", ");
  return el("div", { class: "delay" }, spark(job.trace_ms, job.latency_max_ms),
    el("span", {}, el("b", { class: isOver ? "over" : undefined, "data-figure": "latency_ms" }, time(value)), el("span", { class: "note" }, note)));
}

function spark(trace, bound) {
  const drawing = draw("svg", { class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, width: SPARK.width, height: SPARK.height, "aria-hidden": "true" });
  const top = Math.max(1, ...trace.map((value) => value ?? 0), (bound ?? 0) * 1.15);
  const y = (value) => (1 + (1 - value / top) * (SPARK.height - 2)).toFixed(1);
  const x = (index) => ((index / Math.max(1, trace.length - 1)) * SPARK.width).toFixed(1);
  if (typeof bound === "number") drawing.append(draw("line", { class: "bound", x1: 0, x2: SPARK.width, y1: y(bound), y2: y(bound) }));
  const path = trace.map((value, index) => (value === null ? "" : `${(trace[index - 1] ?? null) === null ? "M" : "L"}${x(index)} ${y(value)}`)).join("");
  if (path) drawing.append(draw("path", { class: "trace s0", d: path }));
  return drawing;
}

function slots(totals) {
  if (typeof totals.slots_used !== "number") return "–";
  return typeof totals.slots_available === "number" ? `${totals.slots_used} of ${totals.slots_available}` : String(totals.slots_used);
}

function change(job, nowMs) {
  const parts = [];
  const changed = (job.since?.published ?? 0) + (job.since?.not_published ?? 0) + (job.since?.not_applied ?? 0);
  if (job.last_change) {
    const { at_ms, headline, outcome } = job.last_change;
    parts.push(el("a", { href: address.link(job.job, at_ms), class: "change" }, ago(nowMs - at_ms)), " ", el("span", { class: "soft steps", title: headline }, plan(headline)));
    if (outcome !== "published") parts.push(" ", el("span", { class: `chip ${outcome}` }, outcome.replaceAll("-", " ")));
  } else parts.push(el("span", { class: "soft" }, "none"));
  if (changed > 0) parts.push(" ", el("span", { class: "chip new" }, `${changed} new`));
  return parts;
}

/** The steps of a plan, without its reasons. */
export const plan = (headline) => headline.replace(/^rescale (.*?): [^]*$/, "$1");
