// The time line: charts one below the other on one axis of time, plans marked through all of them.

import { clock, count, cut, draw, el, rate, share, time } from "./text.js";

const LEFT = 58;
const RIGHT = 10;
const HEIGHT = 104;
const FLAG = 12;
const SERIES_MAX = 8;
/** A line is broken where nothing was recorded for so many epochs. */
const GAP_EPOCHS = 3;

/** The charts of a place, with the scrubber below it. A moment is pinned by a click, or by the scrubber. */
export class Timeline {
  #place;
  #scrubber;
  #on;
  #pinnedMs;
  #history;
  #options = {};
  #panels = [];

  /**
   * `on.jump(epoch)` is called when a mark is chosen, `on.pin(atMs)` with a moment, or with undefined for now,
   * `on.absent(items)` with the reasons why charts are left out.
   */
  constructor(place, scrubber, on) {
    [this.#place, this.#scrubber, this.#on] = [place, scrubber, on];
    scrubber.addEventListener("input", () => this.#pinIndex(Number(scrubber.value)));
    place.addEventListener("pointermove", (event) => this.#point(this.#nearest(event.clientX)));
    place.addEventListener("pointerleave", () => this.#point(Number(scrubber.value)));
    place.addEventListener("click", (event) => {
      if (event.target.closest("svg") && !event.target.closest(".mark")) this.#pinIndex(this.#nearest(event.clientX));
    });
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  /**
   * Shows a history; `boundMs` is the latency to keep, `epochMs` the length of an epoch, `missing` why there is no outlook, `pinnedMs`
   * the moment that is looked at.
   */
  show(history, options) {
    [this.#history, this.#options, this.#pinnedMs] = [history, options, options.pinnedMs];
    this.#scrubber.max = String(Math.max(0, history.at_ms.length - 1));
    this.#scrubber.value = String(this.#pinnedIndex());
    this.#draw();
  }

  /** Pins a moment; undefined: now. */
  pin(atMs) {
    this.#pinnedMs = atMs;
    this.#scrubber.value = String(this.#pinnedIndex());
    this.#point(Number(this.#scrubber.value));
  }

  #pinIndex(index) {
    const isNewest = index === this.#history.at_ms.length - 1;
    const atMs = isNewest ? undefined : this.#history.at_ms[index];
    this.pin(atMs);
    this.#on.pin(atMs);
  }

  #pinnedIndex() {
    const moments = this.#history.at_ms;
    return this.#pinnedMs === undefined ? Math.max(0, moments.length - 1) : nearest(moments, this.#pinnedMs);
  }

  #draw() {
    const history = this.#history;
    if (history === undefined) return;
    if (history.at_ms.length === 0) {
      this.#place.replaceChildren(el("p", { class: "empty" }, "Nothing yet: the first epoch has not ended."));
      return;
    }
    const width = Math.max(240, this.#place.clientWidth);
    const axis = new Axis(history.at_ms, width, GAP_EPOCHS * this.#options.epochMs);
    const { panels, absent } = charts(history, this.#options);
    this.#panels = panels;
    const figures = panels.map((panel, index) => panel.draw(axis, history.marks, this.#on.jump, index === panels.length - 1));
    this.#place.replaceChildren(...figures);
    this.#on.absent(absent.map(([name, reason]) => el("li", { "data-absent": name }, el("b", {}, name), ` ${reason}`)));
    this.#point(Number(this.#scrubber.value));
  }

  #nearest(clientX) {
    const box = this.#place.getBoundingClientRect();
    return this.#history === undefined ? 0 : new Axis(this.#history.at_ms, Math.max(240, box.width), 0).nearest(clientX - box.left);
  }

  #point(index) {
    const at = this.#history?.at_ms[index];
    if (at === undefined) return;
    this.#scrubber.setAttribute("aria-valuetext", `epoch ${this.#history.epoch[index]}, ${clock(at)}`);
    const isNewest = index === this.#history.at_ms.length - 1;
    for (const panel of this.#panels) panel.point(index, isNewest);
  }
}

/** The charts of what is known, and why the others are left out. */
function charts(history, { boundMs, missing }) {
  const [panels, absent] = [[], []];
  const isDelayKnown = isKnown(history.delay_ms);
  if (Object.keys(history.latency_ms).length > 0) {
    panels.push(new Panel("Latency", named(history.latency_ms, largest), time, { bound: boundMs }));
  } else if (isDelayKnown) {
    panels.push(new Panel("Delay", [["estimated: backlog ÷ capacity", history.delay_ms]], time, { bound: boundMs, isEstimated: true }));
    absent.push(["Latency", "is not measured: the job reports no metric of it. The delay of a record is estimated instead."]);
  } else {
    absent.push(["Latency", `is not measured: the job reports no metric of it. No delay can be estimated: ${noDelay(history, missing)}.`]);
  }
  if (isKnown(history.capacity_per_s)) {
    const band = { low: history.arrival_per_s, high: history.forecast_per_s };
    panels.push(new Panel("Capacity", [["wanted", history.arrival_per_s], ["present", history.capacity_per_s]], rate, { band }));
  } else {
    absent.push(["Capacity", `and forecast are not known: ${missing ?? "nothing has been measured yet"}.`]);
    if (isKnown(history.input_rate_per_s)) panels.push(new Panel("Input", [["input", history.input_rate_per_s]], rate, { hasArea: true }));
    else absent.push(["Input", "is not measured: the sources report no rate."]);
  }
  if (isKnown(history.backlog_records)) panels.push(new Panel("Backlog", [["backlog", history.backlog_records]], count, { hasArea: true }));
  else absent.push(["Backlog", "is not measured: not every source reports how many records wait (pendingRecords)."]);
  if (Object.keys(history.busy_ratio).length > 0) panels.push(new Panel("Busy", named(history.busy_ratio, newest), share, { top: 1 }));
  else absent.push(["Busy", "is not measured: the tasks report no busy time."]);
  panels.push(new Panel("Parallelism", named(history.parallelism, changes), count, { isStepped: true }));
  return { panels, absent };
}

function noDelay(history, missing) {
  return isKnown(history.backlog_records) ? missing ?? "nothing has been measured yet" : "not every source reports how many records wait";
}

/** Time from left to right. */
class Axis {
  constructor(moments, width, gapMs) {
    this.moments = moments;
    this.width = width;
    this.gapMs = gapMs;
    this.from = moments[0];
    this.span = Math.max(1, moments[moments.length - 1] - this.from);
  }

  x(ms) {
    return LEFT + ((ms - this.from) / this.span) * (this.width - LEFT - RIGHT);
  }

  nearest(x) {
    const ms = this.from + ((x - LEFT) / (this.width - LEFT - RIGHT)) * this.span;
    return nearest(this.moments, ms);
  }

  ticks() {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
    const most = Math.max(2, Math.floor((this.width - LEFT) / 110));
    const step = 1000 * (steps.find((seconds) => this.span / (seconds * 1000) <= most) ?? 2592000);
    // Whole hours and days in local time.
    const zone = new Date(this.from).getTimezoneOffset() * 60000;
    const first = Math.ceil((this.from - zone) / step) * step + zone;
    const ticks = [];
    for (let ms = first; ms <= this.from + this.span; ms += step) ticks.push(ms);
    return ticks;
  }
}

/** One chart. */
class Panel {
  constructor(title, series, form, { bound, band, top, hasArea = false, isStepped = false, isEstimated = false }) {
    this.title = title;
    this.series = series.slice(0, SERIES_MAX);
    this.left_out = series.length - this.series.length;
    this.form = form;
    [this.bound, this.band, this.top, this.hasArea, this.isStepped, this.isEstimated] = [bound, band, top, hasArea, isStepped, isEstimated];
  }

  draw(axis, marks, jump, isLast) {
    const height = HEIGHT + (isLast ? 20 : 0);
    const top = this.#top();
    const y = (value) => FLAG + (1 - value / top) * (HEIGHT - FLAG - 4);
    const drawing = draw("svg", { viewBox: `0 0 ${axis.width} ${height}`, height, "aria-hidden": "true" });
    const values = [0, top / 2, top].filter((value) => !this.isStepped || Number.isInteger(value));
    for (const value of values) {
      drawing.append(draw("line", { class: "grid", x1: LEFT, x2: axis.width - RIGHT, y1: y(value), y2: y(value) }));
      drawing.append(draw("text", { class: "tick", x: LEFT - 7, y: y(value) + 4, "text-anchor": "end" }, this.form(value)));
    }
    if (isLast) {
      const [first, last] = [LEFT + 24, axis.width - RIGHT - 24];
      const words = (ms) => (axis.span > 172800000 ? clock(ms, 0).slice(0, 16) : clock(ms, ms).slice(0, axis.span < 600000 ? 8 : 5));
      for (const ms of axis.ticks()) {
        const x = Math.min(last, Math.max(first, axis.x(ms)));
        drawing.append(draw("text", { class: "tick", x, y: height - 3, "text-anchor": "middle" }, words(ms)));
      }
    }
    marks.filter((mark) => mark.at_ms >= axis.from).forEach((mark) => drawing.append(flag(mark, axis.x(mark.at_ms), jump)));
    if (typeof this.bound === "number") {
      drawing.append(draw("line", { class: "bound", x1: LEFT, x2: axis.width - RIGHT, y1: y(this.bound), y2: y(this.bound) }));
    }
    if (this.band) drawing.append(draw("path", { class: "band", d: this.#band(axis, y) }));
    this.series.forEach(([, values], index) => this.#trace(drawing, axis, values, index, y));
    this.cursor = draw("line", { class: "cursor", y1: FLAG, y2: y(0) });
    drawing.append(this.cursor);
    [this.axis, this.readings] = [axis, this.series.map(() => el("b", {}))];
    this.expected = el("b", {});
    return el("figure", { "data-chart": this.title, class: this.isEstimated ? "estimated" : undefined }, this.#caption(), drawing);
  }

  /** Shows the values of one moment; the line through it only if it is not the newest. */
  point(index, isNewest) {
    this.readings.forEach((reading, row) => { reading.textContent = this.form(this.series[row][1][index]); });
    if (this.band) this.expected.textContent = this.form(this.band.high[index]);
    const x = this.axis.x(this.axis.moments[index]);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.cursor.setAttribute("visibility", isNewest ? "hidden" : "visible");
  }

  #caption() {
    const isAlone = this.series.length === 1 && this.series[0][0] === this.title.toLowerCase();
    const entry = ([name], index) => el("span", { class: "legend" }, el("i", { class: `s${index}` }), isAlone ? undefined : cut(name), " ", this.readings[index]);
    const band = this.band ? el("span", { class: "legend" }, el("i", { class: "band" }), "at most expected ", this.expected) : undefined;
    const more = this.left_out > 0 ? el("span", { class: "soft" }, `and ${this.left_out} more`) : undefined;
    const bound = typeof this.bound === "number" ? el("span", { class: "soft" }, `bound ${this.form(this.bound)}`) : undefined;
    return el("figcaption", {}, el("b", {}, this.title), ...this.series.map(entry), band, more, bound);
  }

  /** From what arrives up to what is expected at most, over the time in which both are known. */
  #band(axis, y) {
    const { low, high } = this.band;
    let [path, span] = ["", []];
    const close = () => {
      const along = (values, indices) => indices.map((at) => `${axis.x(axis.moments[at]).toFixed(1)} ${y(values[at]).toFixed(1)}`);
      if (span.length > 1) path += `M${[...along(high, span), ...along(low, [...span].reverse())].join("L")}Z`;
      span = [];
    };
    axis.moments.forEach((ms, at) => {
      const isGap = span.length > 0 && ms - axis.moments[span.at(-1)] > axis.gapMs;
      if (low[at] === null || high[at] === null || isGap) close();
      if (low[at] !== null && high[at] !== null) span.push(at);
    });
    close();
    return path;
  }

  #top() {
    if (this.top) return this.top;
    const values = [...this.series.map(([, values]) => values), this.band?.high ?? []].flat().filter((value) => value !== null);
    const least = Math.max(this.isStepped ? 2 : 1, (this.bound ?? 0) * 1.1);
    const most = values.reduce((top, value) => Math.max(top, value), least);
    const scale = 10 ** Math.floor(Math.log10(most));
    return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].find((step) => step * scale >= most) * scale;
  }

  #trace(drawing, axis, values, index, y) {
    let [line, area, open, before] = ["", "", undefined, undefined];
    const close = () => {
      if (open !== undefined) area += `L${before.x} ${y(0)}L${open} ${y(0)}Z`;
      open = undefined;
    };
    values.forEach((value, at) => {
      const ms = axis.moments[at];
      if (value === null || (before !== undefined && ms - before.ms > axis.gapMs)) close();
      if (value === null) return;
      const here = { x: axis.x(ms).toFixed(1), y: y(value).toFixed(1), ms };
      const isNew = open === undefined;
      const step = this.isStepped && !isNew ? `L${here.x} ${before.y}` : "";
      line += isNew ? `M${here.x} ${here.y}l0.01 0` : `${step}L${here.x} ${here.y}`;
      area += isNew ? `M${here.x} ${here.y}` : `${step}L${here.x} ${here.y}`;
      if (isNew) open = here.x;
      before = here;
    });
    close();
    if (this.hasArea) drawing.append(draw("path", { class: `area s${index}`, d: area }));
    drawing.append(draw("path", { class: `trace s${index}`, d: line }));
  }
}

function flag(mark, x, jump) {
  const group = draw("g", { class: `mark ${mark.outcome}` },
    draw("title", {}, `epoch ${mark.epoch}: ${mark.headline}`),
    draw("line", { x1: x, x2: x, y1: FLAG, y2: HEIGHT - 4 }),
    draw("path", { d: `M${x - 6} 1h12l-6 9z` }));
  group.addEventListener("click", () => jump(mark.epoch));
  return group;
}

/** Series by name, those with the highest weight first; of equal ones by name. */
function named(columns, weight) {
  const rows = Object.entries(columns).map(([name, values]) => [name, values, weight(values)]);
  rows.sort((a, b) => b[2] - a[2] || a[0].localeCompare(b[0]));
  return rows.map(([name, values]) => [name, values]);
}

/** The index of the moment that is closest. */
export function nearest(moments, ms) {
  let best = 0;
  moments.forEach((moment, index) => {
    if (Math.abs(moment - ms) < Math.abs(moments[best] - ms)) best = index;
  });
  return best;
}

const isKnown = (values) => values.some((value) => value !== null);

const newest = (values) => values.findLast((value) => value !== null) ?? -1;

const largest = (values) => Math.max(...values.map((value) => value ?? -1));

/** What has changed is worth a line before what has not. */
function changes(values) {
  const known = values.filter((value) => value !== null);
  return known.filter((value, index) => index > 0 && value !== known[index - 1]).length;
}
