// The moment that is looked at: what was decided then, the changes before and after it, and a link that can be sent.

import * as server from "./server.js";
import { nearest } from "./timeline.js";
import { clock, say as sayIn } from "./text.js";

const COPIED_MS = 2000;
const id = (name) => document.getElementById(name);

/** Says what happened at a moment; undefined: the newest epoch. */
export async function show(name, history, atMs, epochMs) {
  const marks = history.marks;
  const isPinned = atMs !== undefined;
  id("now").hidden = !isPinned;
  id("copy").hidden = history.at_ms.length === 0;
  id("earlier").disabled = !marks.some((mark) => mark.at_ms < (atMs ?? Infinity));
  id("later").disabled = !isPinned || !marks.some((mark) => mark.at_ms > atMs);
  if (!isPinned || history.at_ms.length === 0) return say("");
  const index = nearest(history.at_ms, atMs);
  const [epoch, shownMs] = [history.epoch[index], history.at_ms[index]];
  if (Math.abs(shownMs - atMs) > 2 * epochMs) {
    return say(`${clock(atMs)} is not kept here any more, or was not recorded; shown is the nearest epoch, ${epoch}, at ${clock(shownMs)}. The journal may have it: rescaler explain --epoch N.`);
  }
  const words = await headline(name, epoch, marks);
  say(`${clock(shownMs)}, epoch ${epoch}: ${words}`);
}

/** The moment of the change before (`-1`) or after (`1`) the one that is looked at. */
export function neighbour(marks, atMs, direction) {
  const from = atMs ?? Infinity;
  return direction < 0 ? marks.findLast((mark) => mark.at_ms < from) : marks.find((mark) => mark.at_ms > from);
}

/** Puts the address of the moment into the clipboard, where the browser allows it. */
export async function copy(address) {
  const button = id("copy");
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy the address above";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, COPIED_MS);
}

async function headline(name, epoch, marks) {
  const mark = marks.find((one) => one.epoch === epoch);
  if (mark) return mark.headline;
  return server.decision(name, epoch).then((told) => told.headline, () => "its decision is not kept here any more");
}

function say(words) {
  sayIn(id("pinned"), words);
}
