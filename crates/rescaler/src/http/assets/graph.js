// The job graph: operators in layers behind their sources, edges as wide as what flows.

import { count, cut, draw, el, rate, time } from "./text.js";

const WIDE = { width: 196, height: 94, along: 56, across: 18 };
const NARROW = { width: 160, height: 94, along: 34, across: 12 };
/** From top to bottom there is room for long names. */
const DOWN = { ...WIDE, width: 300, along: 34 };
const EDGE_MAX = 6;

/** Draws the operators into `place`; `open(name)` is called when one is chosen, `chosen` is the open one. */
export function show(place, operators, chosen, open) {
  const layers = layered(operators);
  const { size, isAcross } = fitting(layers, place.clientWidth);
  const spots = placed(layers, size, isAcross, place.clientWidth);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.operator : undefined;
  const scrolled = [place.scrollLeft, place.scrollTop];
  const area = el("div", {});
  area.style.width = `${spots.width}px`;
  area.style.height = `${spots.height}px`;
  place.replaceChildren(edges(operators, spots, size, isAcross), area);
  for (const operator of operators) {
    const node = card(operator, operator.name === chosen);
    const spot = spots.at.get(operator.name);
    node.style.width = `${size.width}px`;
    node.style.left = `${spot.x}px`;
    node.style.top = `${spot.y}px`;
    node.addEventListener("click", () => open(operator.name));
    place.append(node);
    if (operator.name === focused) node.focus({ preventScroll: true });
  }
  [place.scrollLeft, place.scrollTop] = scrolled;
}

/** The size of a node, and whether the layers stand from left to right: if they fit, with narrower nodes if need be. */
function fitting(layers, available) {
  const across = (size) => layers.length * size.width + (layers.length - 1) * size.along <= available;
  if (across(WIDE)) return { size: WIDE, isAcross: true };
  if (across(NARROW)) {
    const width = Math.min(WIDE.width, Math.floor((available - (layers.length - 1) * NARROW.along) / layers.length));
    return { size: { ...NARROW, width }, isAcross: true };
  }
  const widest = Math.max(1, ...layers.map((layer) => layer.length));
  const down = [DOWN, WIDE].find((size) => widest * (size.width + size.across) <= available);
  return { size: down ?? NARROW, isAcross: false };
}

function card(operator, isOpen) {
  const flow = operator.kind === "source" ? operator.arrival_rate_per_s ?? operator.throughput_per_s : operator.throughput_per_s;
  const behind = operator.backlog_records > 0 ? `${count(operator.backlog_records)} behind` : "";
  const latency = typeof operator.latency_ms === "number" ? time(operator.latency_ms) : "";
  return el("button", { class: "node", type: "button", "aria-expanded": String(isOpen), "data-operator": operator.name, title: operator.name },
    el("span", { class: "name" }, cut(operator.name, 8), el("span", { class: "wide" }, `× ${operator.parallelism}`)),
    el("span", { class: "kind" }, el("span", {}, operator.kind), el("span", { class: "behind" }, behind)),
    el("span", { class: "rates" }, el("span", {}, rate(flow)), el("span", {}, latency)),
    bar(operator));
}

/** Busy, back-pressured and idle time as one bar, with its figures as text for screen readers. */
export function bar(figures) {
  const known = (value) => (typeof value === "number" ? Math.min(1, Math.max(0, value)) : undefined);
  const [busy, held] = [known(figures.busy_ratio), known(figures.backpressured_ratio)];
  const words = busy === undefined ? "busy time unknown" : `${Math.round(busy * 100)} % busy, ${Math.round((held ?? 0) * 100)} % back-pressured`;
  const whole = el("span", { class: "share", role: "img", "aria-label": words, title: words });
  for (const [name, value] of [["busy", busy], ["held", held]]) {
    const part = el("i", { class: name });
    part.style.width = `${(value ?? 0) * 100}%`;
    whole.append(part);
  }
  return whole;
}

/** Names by layer: an operator stands behind the furthest of its inputs; within a layer, beside its inputs. */
function layered(operators) {
  const depth = new Map(operators.map((operator) => [operator.name, 0]));
  // As many rounds as there are operators settle every graph without a circle, and end with one.
  for (let round = 0, moved = true; moved && round < operators.length; round += 1) {
    moved = false;
    for (const operator of operators) {
      const behind = 1 + Math.max(-1, ...inputs(operator).map((input) => depth.get(input) ?? -1));
      if (behind > depth.get(operator.name)) {
        depth.set(operator.name, behind);
        moved = true;
      }
    }
  }
  const layers = [];
  for (const operator of operators) (layers[depth.get(operator.name)] ??= []).push(operator);
  const filled = layers.filter((layer) => layer !== undefined);
  for (let index = 1; index < filled.length; index += 1) {
    const before = new Map(filled.slice(0, index).flatMap((layer) => layer.map((operator, row) => [operator.name, row])));
    const middle = (operator) => {
      const rows = inputs(operator).map((input) => before.get(input)).filter((row) => row !== undefined);
      return rows.length === 0 ? 0 : rows.reduce((sum, row) => sum + row, 0) / rows.length;
    };
    filled[index].sort((a, b) => middle(a) - middle(b) || a.name.localeCompare(b.name));
  }
  return filled;
}

const inputs = (operator) => operator.inputs ?? [];

/** Where each operator stands: layers from left to right if they fit, else from top to bottom. */
function placed(layers, size, isAcross, available) {
  const at = new Map();
  const [step, cross] = isAcross ? [size.width + size.along, size.height + size.across] : [size.height + size.along, size.width + size.across];
  const widest = Math.max(1, ...layers.map((layer) => layer.length));
  const length = layers.length * step - size.along;
  const breadth = Math.max(widest * cross - size.across, isAcross ? 0 : available - 2);
  const inset = isAcross ? Math.max(0, (available - length) / 2) : 0;
  layers.forEach((layer, index) => {
    const start = (breadth - (layer.length * cross - size.across)) / 2;
    layer.forEach((operator, row) => {
      const [along, across] = [inset + index * step, start + row * cross];
      at.set(operator.name, isAcross ? { x: along, y: across + 1 } : { x: across, y: along + 1 });
    });
  });
  return isAcross ? { at, width: inset + length, height: breadth + 2 } : { at, width: breadth, height: length + 2 };
}

function edges(operators, spots, size, isAcross) {
  const drawing = draw("svg", { width: spots.width, height: spots.height, "aria-hidden": "true" });
  const flows = operators.map((operator) => operator.output_rate_per_s ?? operator.throughput_per_s ?? 0);
  const most = Math.max(1, ...flows);
  const named = new Map(operators.map((operator) => [operator.name, operator]));
  for (const operator of operators) {
    for (const input of inputs(operator).filter((name) => spots.at.has(name))) {
      const from = named.get(input);
      const flow = from.output_rate_per_s ?? from.throughput_per_s ?? 0;
      const width = 1.5 + (EDGE_MAX - 1.5) * Math.sqrt(flow / most);
      const held = (from.backpressured_ratio ?? 0) > 0.1 ? " held" : "";
      const line = curve(spots.at.get(input), spots.at.get(operator.name), size, isAcross);
      drawing.append(draw("path", { class: `edge${held}`, d: line, "stroke-width": width.toFixed(1) }));
    }
  }
  return drawing;
}

function curve(from, to, size, isAcross) {
  if (isAcross) {
    const [x1, y1, x2, y2] = [from.x + size.width, from.y + size.height / 2, to.x, to.y + size.height / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }
  const [x1, y1, x2, y2] = [from.x + size.width / 2, from.y + size.height, to.x + size.width / 2, to.y];
  const bend = Math.max(14, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
