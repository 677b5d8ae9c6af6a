// When somebody last looked at this page, so that it can say what has happened since.

/** Being away for so long is worth a summary. */
const AWAY_MS = 60000;
/** Several rescalers may share a host, each behind a prefix of its own. */
const KEY = `rescaler-looked ${location.pathname}`;

let away;

/** Somebody looks at `nowMs`, by the rescaler's clock. */
export function look(nowMs) {
  const before = Number(localStorage.getItem(KEY));
  if (before > 0 && nowMs - before > AWAY_MS) away ??= before;
  localStorage.setItem(KEY, String(nowMs));
}

/** The moment since which nobody has looked, until the summary is put away. */
export const since = () => away;

/** Puts the summary away. */
export function seen() {
  away = undefined;
}
