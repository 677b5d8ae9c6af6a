// The operators' figures: all of them as a table, and one of them with its subtasks.

import { bar } from "./graph.js";
import { bytes, count, cut, el, rate, share, time } from "./text.js";

/** Field of the interface, heading, form. */
const FIGURES = [
  ["parallelism", "parallelism", count],
  ["latency_ms", "latency", time],
  ["input_rate_per_s", "offered", rate],
  ["throughput_per_s", "processed", rate],
  ["output_rate_per_s", "emitted", rate],
  ["backlog_records", "backlog", count],
  ["busy_ratio", "busy", share],
  ["backpressured_ratio", "back-pressured", share],
  ["watermark_lag_ms", "watermark lag", time],
  ["state_size_bytes", "state", bytes],
];

/** Fills the table. */
export function table(place, operators) {
  const heads = ["operator", "kind", ...FIGURES.map(([, heading]) => heading)];
  const row = (operator) => el("tr", { "data-operator": operator.name },
    el("th", { scope: "row", class: "name" }, cut(operator.name)), el("td", {}, operator.kind),
    ...FIGURES.map(([field, , form]) => el("td", { "data-figure": field, "data-value": operator[field] }, form(operator[field]))));
  place.replaceChildren(
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...operators.map(row)));
}

/** Shows one operator, or hides the place if there is none of that name. */
export function detail(place, operator) {
  place.hidden = operator === undefined;
  if (operator === undefined) return;
  const facts = FIGURES.filter(([field]) => typeof operator[field] === "number")
    .map(([field, heading, form]) => el("div", {}, el("dt", {}, heading), el("dd", {}, form(operator[field]))));
  const more = [];
  if (operator.max_parallelism !== undefined) more.push(["at most", count(operator.max_parallelism)]);
  if (operator.source_partitions !== undefined) more.push(["partitions", count(operator.source_partitions)]);
  if (operator.reading?.quality) more.push(["quality", operator.reading.quality]);
  facts.push(...more.map(([heading, value]) => el("div", {}, el("dt", {}, heading), el("dd", {}, value))));
  place.replaceChildren(el("h3", {}, operator.name), el("dl", { class: "facts" }, ...facts), subtasks(operator.subtasks ?? []));
}

function subtasks(list) {
  const line = (subtask, index) => {
    const seconds = (subtask.interval_ms ?? 0) / 1000;
    const pace = seconds > 0 && typeof subtask.records_in === "number" ? subtask.records_in / seconds : undefined;
    return el("li", { title: subtask.task_manager }, el("span", { class: "soft" }, String(index)), bar(subtask), el("span", {}, rate(pace)));
  };
  return el("ol", { class: "subtasks", "aria-label": "Subtasks" }, ...list.map(line));
}
