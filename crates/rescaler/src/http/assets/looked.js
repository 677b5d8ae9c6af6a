// The time of the last look at this page, so that it can say what has happened since.

import { get, put } from "./store.js";

/** Being away for so long is worth a summary. */
const AWAY_MS = 60000;
/** Several rescalers may share a host, each behind a prefix of its own. */
const KEY = `rescaler-looked ${location.pathname}`;

let away;

/** Notes a look at `nowMs`, by the clock of the rescaler. */
export function look(nowMs) {
  const before = Number(get("localStorage", KEY));
  if (before > 0 && nowMs - before > AWAY_MS) away ??= before;
  put("localStorage", KEY, String(nowMs));
}

/** The last look before the summary; undefined once the summary is put away. */
export const since = () => away;

/** Puts the summary away. */
export function seen() {
  away = undefined;
}
