// The current figures of a job, one tile each.

import { bytes, count, el, rate, time } from "./text.js";

/** Fills the list. */
export function show(place, job) {
  const totals = job.totals ?? {};
  // Old, shared and orphaned files are stored there too; what grows while the state does not is a leak.
  const stored = typeof totals.stored_size_bytes === "number" ? `; ${bytes(totals.stored_size_bytes)} stored` : "";
  const state = el("span", { "data-figure": "stored_size_bytes", "data-value": totals.stored_size_bytes }, `newest checkpoint${stored}`);
  const all = [
    latency(job, totals),
    ["Input", "input_rate_per_s", totals.input_rate_per_s, rate, carried(job.outlook)],
    ["Backlog", "backlog_records", totals.backlog_records, count, "records that wait"],
    ["Slots", "slots_used", totals.slots_used, count, slots(totals)],
    ["Subtasks", "subtasks", totals.subtasks, count, "of all operators"],
    ["State", "state_size_bytes", totals.state_size_bytes, bytes, state],
  ];
  place.replaceChildren(...all.map(([name, field, value, form, note, over]) => el("div", {},
    el("dt", {}, name), el("dd", { "data-figure": field, "data-value": value, class: over ? "over" : undefined }, form(value)),
    el("dd", { class: "note" }, note))));
}

function latency(job, totals) {
  const bound = typeof job.latency_max_ms === "number" ? `bound ${time(job.latency_max_ms)}` : "";
  const isOver = (ms) => typeof ms === "number" && ms >= (job.latency_max_ms ?? Infinity);
  const estimated = job.outlook?.delay_ms;
  if (typeof totals.latency_ms !== "number" && typeof estimated === "number") {
    return ["Delay", "delay_ms", estimated, time, ["estimated", bound].filter(Boolean).join(", "), isOver(estimated)];
  }
  const queries = job.snapshot?.queries ?? [];
  const slowest = queries.find((query) => query.overall_latency_ms === totals.latency_ms && totals.latency_ms !== null);
  return ["Latency", "latency_ms", totals.latency_ms, time, [slowest?.name, bound].filter(Boolean).join(", "), isOver(totals.latency_ms)];
}

function carried(outlook) {
  return outlook ? `of ${rate(outlook.capacity_per_s)} that are carried` : "records at the sources";
}

function slots(totals) {
  const parts = [];
  if (typeof totals.slots_available === "number") parts.push(`of ${totals.slots_available} that it can have`);
  if (typeof totals.task_managers === "number") parts.push(`${totals.task_managers} task manager${totals.task_managers === 1 ? "" : "s"}`);
  return parts.join(", ");
}
