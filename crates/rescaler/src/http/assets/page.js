// The page: which job is shown, when the server is asked, what a button does.

import * as decisions from "/assets/decisions.js";
import * as graph from "/assets/graph.js";
import * as operators from "/assets/operators.js";
import * as server from "/assets/server.js";
import { age, bytes, count, el, rate, time } from "/assets/text.js";
import { Timeline } from "/assets/timeline.js";

const POLL_MS = 2000;
const THEME = "rescaler-theme";
const STATES = { "running": "running", "paused": "paused", "dry-run": "dry run", "no-data": "no data", "failed": "failed" };

const id = (name) => document.getElementById(name);
const shown = { name: undefined, job: undefined, at: 0, epoch: undefined, decisions: [], operator: undefined, failedSince: undefined };
const timeline = new Timeline(id("timeline"), id("moment"), (epoch) => {
  id("plans-only").checked = false;
  decisions.show(id("decisions"), shown.decisions, false);
  decisions.jump(id("decisions"), epoch);
});

/** Asks for everything that may have changed and shows it. One round at a time. */
async function round() {
  try {
    const all = await server.jobs();
    id("version").textContent = all.version;
    choose(all.jobs);
    if (shown.name === undefined) throw new server.Refused(404, "no job is configured");
    const [name, job] = [shown.name, await server.job(shown.name)];
    // Somebody may have chosen another job in the meantime.
    if (name !== shown.name) return;
    [shown.job, shown.at, shown.failedSince] = [job, performance.now(), undefined];
    show(job);
    await past(name, job);
  } catch (error) {
    shown.failedSince ??= Date.now();
    notice(error instanceof server.Refused ? error.message : String(error), Date.now() - shown.failedSince);
    if (!(error instanceof server.Refused)) throw error;
  }
}

/** Time line and decisions; they change only with an epoch, or with what becomes of its plan. */
async function past(name, job) {
  const isDue = job.epoch !== shown.epoch || shown.decisions[0]?.outcome === "publishing" || id("range").dataset.changed;
  if (!isDue) return;
  delete id("range").dataset.changed;
  const [history, told] = await Promise.all([server.history(name, Number(id("range").value)), server.decisions(name)]);
  if (name !== shown.name) return;
  [shown.epoch, shown.decisions] = [job.epoch, told.decisions];
  timeline.show(history, { boundMs: job.latency_max_ms, epochMs: job.epoch_length_ms });
  decisions.show(id("decisions"), shown.decisions, id("plans-only").checked);
}

/** The row of jobs, and which one is shown: the one in the address, else the first. */
function choose(jobs) {
  const wanted = decodeURIComponent(location.hash.replace(/^#/, ""));
  const name = (jobs.find((job) => job.job === wanted) ?? jobs[0])?.job;
  if (name !== shown.name) {
    Object.assign(shown, { name, job: undefined, epoch: undefined, decisions: [], operator: undefined });
  }
  const tab = (job) => el("a", { href: `#${encodeURIComponent(job.job)}`, "aria-current": job.job === name ? "page" : undefined, title: STATES[job.state] },
    el("i", { class: job.state, "aria-hidden": "true" }), job.job);
  id("jobs").replaceChildren(...(jobs.length > 1 ? jobs.map(tab) : []));
}

function show(job) {
  document.title = `${job.job} – rescaler`;
  id("job").textContent = job.job;
  id("state").textContent = STATES[job.state] ?? job.state;
  id("state").className = `chip ${job.state}`;
  const words = `policy ${job.policy}, one decision every ${time(job.epoch_length_ms)}, ${job.epoch ? `epoch ${job.epoch}` : "no epoch yet"}, Flink at `;
  id("about").replaceChildren(words, el("a", { href: job.flink_url, rel: "noreferrer" }, job.flink_url));
  id("api").href = `/api/v1/jobs/${encodeURIComponent(job.job)}`;
  notice(job.problem ?? (job.obstacle ? `Plans are recommendations: ${job.obstacle}` : undefined));
  buttons(job.switches);
  tiles(job);
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

function tiles(job) {
  const totals = job.totals ?? {};
  const queries = job.snapshot?.queries ?? [];
  const slowest = queries.filter((query) => query.overall_latency_ms === totals.latency_ms && totals.latency_ms !== null)[0];
  const bound = typeof job.latency_max_ms === "number" ? `bound ${time(job.latency_max_ms)}` : "";
  const isOver = typeof totals.latency_ms === "number" && totals.latency_ms >= (job.latency_max_ms ?? Infinity);
  const managers = typeof totals.task_managers === "number" ? `${totals.task_managers} task manager${totals.task_managers === 1 ? "" : "s"}` : "";
  // Old, shared and orphaned files lie there too; what grows while the state does not is a leak.
  const stored = typeof totals.stored_size_bytes === "number" ? `; ${bytes(totals.stored_size_bytes)} stored` : "";
  const state = el("span", { "data-figure": "stored_size_bytes", "data-value": totals.stored_size_bytes }, `newest checkpoint${stored}`);
  const all = [
    ["Latency", "latency_ms", totals.latency_ms, time, [slowest?.name, bound].filter(Boolean).join(", "), isOver],
    ["Input", "input_rate_per_s", totals.input_rate_per_s, rate, "records at the sources"],
    ["Backlog", "backlog_records", totals.backlog_records, count, "records that wait"],
    ["State", "state_size_bytes", totals.state_size_bytes, bytes, state],
    ["Subtasks", "subtasks", totals.subtasks, count, [typeof totals.slots === "number" ? `${totals.slots} slots` : "", managers].filter(Boolean).join(", ")],
  ];
  id("tiles").replaceChildren(...all.map(([name, field, value, form, note, over]) => el("div", {},
    el("dt", {}, name), el("dd", { "data-figure": field, "data-value": value, class: over ? "over" : undefined }, form(value)),
    el("dd", { class: "note" }, note))));
}

function buttons(switches) {
  const [pause, dryRun] = [id("pause"), id("dry-run")];
  pause.textContent = switches.paused ? "Resume" : "Pause";
  pause.classList.toggle("main", switches.paused);
  dryRun.setAttribute("aria-pressed", String(switches.dry_run));
  pause.disabled = !switches.can_change;
  dryRun.disabled = !switches.can_change || switches.dry_run_forced;
  const closed = switches.can_change ? "" : "Nothing can be changed over a network without a token: see http.token_file.";
  pause.title = closed || "While paused, the job is observed and recorded; nothing is decided or published.";
  dryRun.title = closed || (switches.dry_run_forced ? "The rescaler was started with --dry-run." : "In a dry run plans are recorded, and nothing is published.");
}

async function press(action, body) {
  const name = shown.name;
  try {
    await server.change(name, action, body);
    await round();
  } catch (error) {
    if (error.status !== 401) return notice(error.message);
    if (await token()) await press(action, body);
  }
}

/** Asks for the token; false if the person does not want to give one. */
function token() {
  const dialog = id("token-dialog");
  id("token").value = "";
  server.remember("");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    const given = dialog.returnValue === "send" ? id("token").value.trim() : "";
    server.remember(given);
    resolve(given !== "");
  }, { once: true }));
}

function notice(text, silentMs) {
  id("notice").hidden = !text;
  const since = silentMs === undefined ? "" : `; what is shown is ${age(silentMs)} old or older`;
  // Announced anew only if it is another one.
  const whole = text ? text + since : "";
  if (id("notice").textContent !== whole) id("notice").textContent = whole;
}

/** The age of the data counts up between two answers. */
function tick() {
  const job = shown.job;
  if (job === undefined) return;
  const known = typeof job.data_age_ms === "number";
  const ms = known ? job.data_age_ms + performance.now() - shown.at : undefined;
  id("age").textContent = age(ms);
  id("age").parentElement.classList.toggle("old", !known || ms > 2 * job.sample_interval_ms + POLL_MS);
}

function ranges(epochMs) {
  const select = id("range");
  if (select.dataset.epoch === String(epochMs)) return;
  select.dataset.epoch = String(epochMs);
  const options = [60, 240, 720].map((epochs) => el("option", { value: epochs }, `${epochs} epochs (${time(epochs * epochMs)})`));
  const before = select.value;
  select.replaceChildren(...options, el("option", { value: 0 }, "all that is kept"));
  select.value = before || "240";
}

function theme(next) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement;
  if (next) {
    const now = root.dataset.theme ?? (isDark ? "dark" : "light");
    localStorage.setItem(THEME, now === "dark" ? "light" : "dark");
  }
  const kept = localStorage.getItem(THEME);
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
}

async function poll() {
  if (!document.hidden) await round().catch((error) => console.error(error));
  setTimeout(poll, POLL_MS);
}

theme(false);
id("theme").addEventListener("click", () => theme(true));
id("pause").addEventListener("click", () => press(shown.job?.switches.paused ? "resume" : "pause"));
id("dry-run").addEventListener("click", () => press("dry-run", { enabled: !shown.job?.switches.dry_run }));
id("plans-only").addEventListener("change", (event) => decisions.show(id("decisions"), shown.decisions, event.target.checked));
id("range").addEventListener("change", () => { id("range").dataset.changed = "yes"; round(); });
id("token-send").addEventListener("click", () => id("token-dialog").close("send"));
id("token-cancel").addEventListener("click", () => id("token-dialog").close("cancel"));
id("token").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  id("token-dialog").close("send");
});
addEventListener("hashchange", () => round());
addEventListener("resize", () => { if (shown.job) show(shown.job); });
setInterval(tick, 1000);
poll();
