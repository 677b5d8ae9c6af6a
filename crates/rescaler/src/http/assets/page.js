// The page: which job and which moment is shown, and when the server is asked.

import * as address from "./address.js";
import * as attention from "./attention.js";
import * as decisions from "./decisions.js";
import * as graph from "./graph.js";
import * as looked from "./looked.js";
import * as operators from "./operators.js";
import * as overview from "./overview.js";
import * as pinned from "./pinned.js";
import * as server from "./server.js";
import * as since from "./since.js";
import * as store from "./store.js";
import * as switches from "./switches.js";
import { age, cut, el, say, time } from "./text.js";
import * as tiles from "./tiles.js";
import { Timeline } from "./timeline.js";

const POLL_MS = 2000;
/** While one job is shown, the list of all is asked for in each of so many rounds. */
const LIST_ROUNDS = 5;
/** More jobs than this can be searched by name. */
const FIND_JOBS = 8;
const THEME = "rescaler-theme";

const id = (name) => document.getElementById(name);
const NOTHING = { job: undefined, epoch: undefined, decisions: [], operator: undefined, history: undefined, atMs: undefined };
const shown = { name: undefined, all: undefined, rounds: 0, at: 0, failedSince: undefined, ...NOTHING };
const timeline = new Timeline(id("timeline"), id("moment"), { jump, pin: (atMs) => pin(atMs, true), absent });

/** Asks for everything that may have changed and shows it. One round at a time. */
async function round() {
  try {
    const all = await list();
    choose(all.jobs);
    if (all.jobs.length === 0) throw new server.Refused(404, "no job is watched");
    if (shown.name === undefined) {
      notice(shown.unknown === undefined ? undefined : `No job ${shown.unknown} is watched now.`);
      overall(all);
    } else {
      await single();
    }
    shown.failedSince = undefined;
  } catch (error) {
    shown.failedSince ??= Date.now();
    notice(error instanceof server.Refused ? error.message : String(error), Date.now() - shown.failedSince);
    if (!(error instanceof server.Refused)) throw error;
  }
}

/** All jobs, as new as what is shown needs them. */
async function list() {
  shown.rounds += 1;
  const { all } = shown;
  const hasJob = all?.jobs.some((job) => job.job === address.read().job);
  const lacksSince = looked.since() !== undefined && all?.jobs[0]?.since === undefined;
  if (hasJob && !lacksSince && shown.rounds % LIST_ROUNDS !== 0) return all;
  shown.all = await server.jobs(looked.since());
  looked.look(shown.all.now_ms);
  say(id("version"), shown.all.version);
  return shown.all;
}

/** Which job is shown: that of the address, or the only one; undefined: all of them. */
function choose(jobs) {
  const asked = address.read();
  const name = jobs.find((job) => job.job === asked.job)?.job ?? (jobs.length === 1 ? jobs[0].job : undefined);
  const atMs = name !== undefined && name === (asked.job ?? name) ? asked.atMs : undefined;
  if (name !== shown.name) Object.assign(shown, NOTHING, { name });
  if (atMs !== shown.atMs) [shown.atMs, id("range").dataset.changed] = [atMs, "yes"];
  shown.unknown = name === undefined ? asked.job : undefined;
  id("all").hidden = name !== undefined;
  id("one").hidden = name === undefined || shown.job === undefined;
  id("age-line").hidden = name === undefined;
  const back = el("a", { href: "#", "aria-current": name === undefined ? "page" : undefined }, `All jobs (${jobs.length})`);
  const here = name === undefined ? [] : [el("a", { href: address.link(name), "aria-current": "page" }, cut(name))];
  const words = `${jobs.length} ${name}`;
  if (id("jobs").dataset.words !== words) id("jobs").replaceChildren(...(jobs.length > 1 ? [back, ...here] : []));
  id("jobs").dataset.words = words;
}

/** The page of all jobs. */
function overall(all) {
  document.title = "All jobs – rescaler";
  id("find").hidden = all.jobs.length <= FIND_JOBS;
  say(id("summary"), overview.summary(all.jobs));
  overview.show(id("overview"), all, id("wanted").value);
  const sinceMs = looked.since();
  id("since").hidden = sinceMs === undefined;
  if (sinceMs !== undefined && all.jobs[0].since) since.ofAll(id("since"), all, sinceMs, putAway);
}

/** The page of one job. */
async function single() {
  const [name, job] = [shown.name, await server.job(shown.name)];
  // Another job may have been chosen in the meantime.
  if (name !== shown.name) return;
  [shown.job, shown.at] = [job, performance.now()];
  id("one").hidden = false;
  notice();
  show(job);
  await past(name, job);
  const [line, sinceMs] = [shown.all.jobs.find((one) => one.job === name), looked.since()];
  id("since").hidden = sinceMs === undefined;
  if (sinceMs !== undefined && line?.since && shown.history) since.ofJob(id("since"), line, shown.history.marks, shown.all.now_ms, sinceMs, putAway);
}

/** Time line and decisions; they change only with an epoch, or with what becomes of its plan. */
async function past(name, job) {
  const isDue = job.epoch !== shown.epoch || shown.decisions[0]?.outcome === "publishing" || id("range").dataset.changed;
  if (!isDue) return;
  delete id("range").dataset.changed;
  let [history, told] = await Promise.all([server.history(name, Number(id("range").value)), server.decisions(name)]);
  if (shown.atMs !== undefined && !(history.at_ms[0] <= shown.atMs)) {
    id("range").value = "0";
    history = await server.history(name, 0);
  }
  if (name !== shown.name) return;
  [shown.epoch, shown.decisions, shown.history] = [job.epoch, told.decisions, history];
  timeline.show(history, { boundMs: job.latency_max_ms, epochMs: job.epoch_length_ms, missing: job.outlook_missing, pinnedMs: shown.atMs });
  decisions.show(id("decisions"), shown.decisions, id("plans-only").checked);
  await pinned.show(name, history, shown.atMs, job.epoch_length_ms);
}

/** Looks at a moment; undefined: at now. The address follows, so that it can be sent. */
async function pin(atMs, isFromTimeline) {
  shown.atMs = atMs;
  address.rewrite(shown.name, atMs);
  if (!isFromTimeline) timeline.pin(atMs);
  await pinned.show(shown.name, shown.history, atMs, shown.job.epoch_length_ms);
}

/** A link to the moment that is looked at; where the browser does not allow copying, the address is one. */
async function copy() {
  if (shown.atMs === undefined) await pin(shown.history.at_ms.at(-1), false);
  await pinned.copy(location.href);
}

function step(direction) {
  const mark = pinned.neighbour(shown.history?.marks ?? [], shown.atMs, direction);
  if (mark) pin(mark.at_ms, false);
}

function absent(reasons) {
  id("absent").hidden = reasons.length === 0;
  id("absent").replaceChildren(...reasons);
}

function jump(epoch) {
  id("plans-only").checked = false;
  decisions.show(id("decisions"), shown.decisions, false);
  decisions.jump(id("decisions"), epoch);
}

function show(job) {
  document.title = `${job.job} – rescaler`;
  id("job").textContent = job.job;
  const chip = attention.chip(job);
  say(id("state"), chip.textContent);
  id("state").className = chip.className;
  const words = `policy ${job.policy}, one decision every ${time(job.epoch_length_ms)}, ${job.epoch ? `epoch ${job.epoch}` : "no epoch yet"}, Flink at `;
  id("about").replaceChildren(words, el("a", { href: job.flink_url, rel: "noreferrer" }, job.flink_url));
  id("api").href = `api/v1/jobs/${encodeURIComponent(job.job)}`;
  attention.show(id("attention"), job.attention);
  switches.show(job.switches);
  tiles.show(id("tiles"), job);
  const known = job.snapshot?.operators ?? [];
  graph.show(id("graph"), known, shown.operator, toggle);
  operators.table(id("operators"), known);
  operators.detail(id("operator"), known.find((operator) => operator.name === shown.operator));
  ranges(job.epoch_length_ms);
  tick();
}

function toggle(name) {
  shown.operator = shown.operator === name ? undefined : name;
  show(shown.job);
}

function putAway() {
  looked.seen();
  id("since").hidden = true;
  if (shown.name === undefined) round();
}

function press(action, body) {
  return switches.press(shown.name, action, body, round, notice);
}

function notice(text, silentMs) {
  id("notice").hidden = !text;
  const old = silentMs === undefined ? "" : `; what is shown is ${age(silentMs)} old or older`;
  // Announced anew only if it is another one.
  const whole = text ? text + old : "";
  say(id("notice"), whole);
}

/** The age of the data counts up between two answers. */
function tick() {
  const job = shown.job;
  if (job === undefined) return;
  const known = typeof job.data_age_ms === "number";
  const ms = known ? job.data_age_ms + performance.now() - shown.at : undefined;
  id("age").textContent = age(ms);
  id("age-line").classList.toggle("old", known ? ms > Math.max(2 * job.sample_interval_ms, job.epoch_length_ms) + POLL_MS : job.attention.some((found) => found.kind === "no-data"));
}

function ranges(epochMs) {
  const select = id("range");
  if (select.dataset.epoch === String(epochMs)) return;
  select.dataset.epoch = String(epochMs);
  const options = [60, 240, 720].map((epochs) => el("option", { value: epochs }, `${epochs} epochs (${time(epochs * epochMs)})`));
  const before = select.value;
  select.replaceChildren(...options, el("option", { value: 0 }, "all"));
  select.value = before || "240";
}

function theme(next) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement;
  if (next) {
    const now = root.dataset.theme ?? (isDark ? "dark" : "light");
    store.put("localStorage", THEME, now === "dark" ? "light" : "dark");
  }
  const kept = store.get("localStorage", THEME);
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
}

async function poll() {
  if (!document.hidden) await round().catch((error) => console.error(error));
  setTimeout(poll, POLL_MS);
}

function listen() {
  const on = (name, event, then) => id(name).addEventListener(event, then);
  on("theme", "click", () => theme(true));
  on("pause", "click", () => press(shown.job?.switches.paused ? "resume" : "pause"));
  on("dry-run", "click", () => press("dry-run", { enabled: !shown.job?.switches.dry_run }));
  on("plans-only", "change", (event) => decisions.show(id("decisions"), shown.decisions, event.target.checked));
  on("range", "change", () => { id("range").dataset.changed = "yes"; round(); });
  on("wanted", "input", () => shown.all && overview.show(id("overview"), shown.all, id("wanted").value));
  on("earlier", "click", () => step(-1));
  on("later", "click", () => step(1));
  on("now", "click", () => pin(undefined, false));
  on("copy", "click", copy);
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); id("main").focus(); });
  document.querySelector(".brand").addEventListener("click", (event) => { event.preventDefault(); location.hash = ""; });
  addEventListener("keydown", (event) => { if (event.key === "Escape" && shown.operator !== undefined) toggle(shown.operator); });
  addEventListener("hashchange", () => { scrollTo(0, 0); round(); });
  addEventListener("resize", () => { if (shown.job) show(shown.job); });
}

theme(false);
listen();
setInterval(tick, 1000);
poll();
