// The last decisions with their reasons. Equal reasons for doing nothing, one epoch after the other, are one line.

import { clock, count, cut, el, rate, share, time } from "./text.js";

const OUTCOMES = {
  "nothing": "no change", "dry-run": "dry run", "recommended": "recommended", "publishing": "publishing", "published": "published", "not-published": "not published",
};

/** Fills the list; what a person has opened stays open. */
export function show(place, decisions, plansOnly) {
  const open = new Set([...place.querySelectorAll("details[open]")].map((details) => details.parentElement.dataset.epoch));
  const focused = document.activeElement?.closest?.("#decisions > li")?.dataset.epoch;
  const runs = grouped(plansOnly ? decisions.filter(isPlan) : decisions);
  const lines = runs.map((run) => line(run, open.has(String(run[0].epoch))));
  if (lines.length === 0) {
    lines.push(el("li", { class: "empty" }, plansOnly ? "No plan among the stored decisions." : "Nothing yet: the first epoch has not ended."));
  }
  place.replaceChildren(...lines);
  if (focused) place.querySelector(`[data-epoch="${focused}"] summary`)?.focus({ preventScroll: true });
}

/** Opens the decision of an epoch and brings it into view. */
export function jump(place, epoch) {
  const item = place.querySelector(`[data-epoch="${epoch}"]`);
  if (!item) return;
  item.querySelector("details").open = true;
  item.scrollIntoView({ block: "center" });
  item.querySelector("summary").focus({ preventScroll: true });
}

const isPlan = (told) => told.outcome !== "nothing";

/** Newest first; of a run of equal reasons the newest stands for all. */
function grouped(decisions) {
  const runs = [];
  for (const told of decisions) {
    const last = runs.at(-1);
    const isSame = last && !isPlan(told) && !isPlan(last[0]) && last[0].headline === told.headline;
    if (isSame) last.push(told);
    else runs.push([told]);
  }
  return runs;
}

function line(run, isOpen) {
  const [newest, oldest] = [run[0], run.at(-1)];
  const epochs = run.length === 1 ? `epoch ${newest.epoch}` : `epochs ${oldest.epoch}–${newest.epoch}`;
  const summary = el("summary", {},
    el("time", { datetime: newest.at, title: epochs }, clock(Date.parse(newest.at))),
    el("span", {}, el("span", { class: `chip ${newest.outcome}` }, run.length === 1 ? OUTCOMES[newest.outcome] ?? newest.outcome : `no change × ${run.length}`)),
    el("span", { class: "headline" }, newest.headline));
  const details = el("details", {}, summary);
  // Details are created when opened: a hundred decisions of a hundred operators would be a large page.
  const fill = () => { if (details.open && details.children.length === 1) details.append(inside(newest, epochs)); };
  details.addEventListener("toggle", fill);
  details.open = isOpen;
  fill();
  return el("li", { "data-epoch": newest.epoch, "data-outcome": newest.outcome, class: isPlan(newest) ? "plan" : undefined }, details);
}

function inside(told, epochs) {
  const decision = told.decision;
  const facts = [["epoch", epochs.replace(/^epochs? /, "")], ["policy", decision.policy]];
  if (told.generation !== undefined) facts.push(["generation", count(told.generation)]);
  if (typeof decision.cluster_load === "number") facts.push(["cluster load", share(decision.cluster_load)]);
  if (typeof decision.memory_usage === "number") facts.push(["memory", share(decision.memory_usage)]);
  if (typeof decision.downtime_estimate_s === "number") facts.push(["downtime estimate", time(decision.downtime_estimate_s * 1000)]);
  if (typeof decision.scale_out === "boolean") facts.push(["scale out", decision.scale_out ? "yes" : "no"]);
  facts.push(...prices(decision.figures ?? {}));
  const reasons = decision.reasons.map((reason) => el("li", {}, reason));
  if (told.message) reasons.push(el("li", {}, `not published: ${told.message}`));
  return el("div", { class: "inside" }, el("ul", {}, ...reasons), told.result ? result(told.result) : undefined,
    el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    decision.candidates?.length > 0 ? candidates(decision.candidates) : undefined,
    decision.operators.length > 0 ? operators(decision.operators) : undefined);
}

/** What a policy that compares prices rests on: wanted against present capacity, and the delay that it estimates. */
function prices(figures) {
  const facts = [["arrival rate", "arrival_per_s", rate], ["capacity", "capacity_per_s", rate], ["forecast (upper bound)", "forecast_per_s", rate],
    ["predicted delay", "delay_s", (s) => time(s * 1000)], ["bound", "bound_s", (s) => time(s * 1000)]];
  return facts.filter(([, name]) => typeof figures[name] === "number").map(([head, name, form]) => [head, form(figures[name])]);
}

/** The plans that were compared, with the terms of their prices in slot-seconds; the cheapest is marked. */
function candidates(list) {
  const terms = [...new Set(list.flatMap((candidate) => Object.keys(candidate.terms)))];
  const plan = (candidate) => Object.entries(candidate.parallelism).map(([name, new_]) => `${name} → ${new_}`).join(", ") || "stay";
  const row = (candidate) => el("tr", { class: candidate.is_cheapest ? "cheapest" : undefined },
    el("th", { scope: "row" }, `${candidate.is_cheapest ? "✓ " : ""}${candidate.slots}`), el("td", {}, rate(candidate.capacity_per_s)), el("td", {}, count(candidate.price_slot_s)),
    ...terms.map((term) => el("td", {}, term in candidate.terms ? count(candidate.terms[term]) : "")), el("td", { class: "words" }, plan(candidate)));
  const heads = ["slots", "capacity", "price (slot-s)", ...terms, "plan"].map((head) => el("th", { scope: "col", class: head === "plan" ? "words" : undefined }, head));
  return el("div", { class: "scroll prices", tabindex: "0", role: "region", "aria-label": "Prices of the candidate plans" },
    el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...list.map(row))));
}

/** How the change went, as whoever applied it has reported. */
function result(result) {
  const took = typeof result.duration_ms === "number" ? ` after ${time(result.duration_ms)}` : "";
  const steps = result.steps.filter((step) => typeof step.duration_ms === "number").map((step) => `${words(step.state)} ${time(step.duration_ms)}`);
  const lines = [`${words(result.state)}${took}`, steps.join(", "), result.message ?? ""];
  return el("p", { class: "result", "data-result": result.state }, lines.filter(Boolean).join(" · "));
}

const words = (state) => state.replaceAll("-", " ");

function operators(list) {
  const row = (operator) => {
    const isChanged = typeof operator.new_parallelism === "number" && operator.new_parallelism !== operator.parallelism;
    const width = isChanged ? `${operator.parallelism} → ${operator.new_parallelism}` : String(operator.parallelism);
    return el("tr", {}, el("th", { scope: "row", class: "name" }, cut(operator.name)), el("td", {}, width), el("td", {}, time(operator.latency_ms)), el("td", { class: "words" }, operator.because));
  };
  const heads = ["operator", "parallelism", "latency", "reason"].map((head) => el("th", { scope: "col", class: head === "reason" ? "words" : undefined }, head));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Operators of this decision" },
    el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...list.map(row))));
}
