// Formats figures and creates elements without markup in strings, so that names are always shown as text.

const UNKNOWN = "–";
const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a text child is text, never markup. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for a part of a drawing. */
export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/**
 * A name that is shortened in the middle where it does not fit: what tells operators apart is often at the end. The text stays whole
 * for screen readers and searches; what is seen is made of two parts, of which the first gives way.
 */
export function cut(name, tailMost = 14) {
  const tail = name.length > 16 ? Math.min(tailMost, Math.floor(name.length * 0.4)) : 0;
  if (tail === 0) return el("span", { class: "cut whole", title: name }, name);
  const part = (kind, text) => el("span", { class: kind, "aria-hidden": "true", "data-text": text });
  return el("span", { class: "cut", title: name }, el("span", { class: "unseen" }, name), part("head", name.slice(0, -tail)), part("tail", name.slice(-tail)));
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with at most so many digits that a person takes in at a glance: 1,234, 12.3 k, 4.56 M. */
export function count(value) {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1e9) return `${short(value / 1e9)} G`;
  if (size >= 1e6) return `${short(value / 1e6)} M`;
  if (size >= 1e5) return `${short(value / 1e3)} k`;
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  return short(value);
}

function short(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export const rate = (value) => (known(value) ? `${count(value)}/s` : UNKNOWN);
export const share = (value) => (known(value) ? `${Math.round(value * 100)} %` : UNKNOWN);

export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : short(value)} ${units[unit]}`;
}

/** Milliseconds in the unit that fits. */
export function time(ms) {
  if (!known(ms)) return UNKNOWN;
  if (ms < 1) return `${short(ms)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120000) return `${short(ms / 1000)} s`;
  if (ms < 7200000) return `${short(ms / 60000)} min`;
  if (ms < 172800000) return `${short(ms / 3600000)} h`;
  return `${short(ms / 86400000)} d`;
}

/** Replaces a text only by another one, so that it is not announced anew. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An age: whole seconds, because it counts up while one looks at it. */
export const age = (ms) => (known(ms) ? time(Math.max(0, Math.floor(ms / 1000)) * 1000).replace("0 ms", "0 s") : UNKNOWN);

/** A moment, without the date if it is today's. */
export function clock(ms, now = Date.now()) {
  const at = new Date(ms);
  const hours = at.toLocaleTimeString("en-GB");
  const isToday = at.toDateString() === new Date(now).toDateString();
  return isToday ? hours : `${at.toLocaleDateString("en-CA")} ${hours}`;
}

/** How long ago, in words. */
export function ago(ms) {
  if (!known(ms)) return UNKNOWN;
  if (ms < 60000) return "just now";
  return ms < 5400000 ? `${Math.round(ms / 60000)} min ago` : `${time(ms).replace(/\.\d+/, "")} ago`;
}
