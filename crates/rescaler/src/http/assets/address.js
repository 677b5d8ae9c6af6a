// The part of the address behind #: which job is shown, and which moment of it. `#job=NAME&at=2026-11-30T14:03:20Z`; `#NAME` is a job, too.

/** What the address asks for: `{ job, atMs }`, each undefined if it is not there. */
export function read() {
  const text = location.hash.replace(/^#/, "");
  if (text === "") return {};
  if (!/^(job|at)=/.test(text)) return { job: decoded(text) };
  const asked = new URLSearchParams(text);
  const atMs = Date.parse(asked.get("at") ?? "");
  return { job: asked.get("job") ?? undefined, atMs: Number.isFinite(atMs) ? atMs : undefined };
}

/** A link to a job, or to a moment of it. */
export function link(job, atMs) {
  const at = atMs === undefined ? "" : `&at=${new Date(atMs).toISOString()}`;
  return `#job=${encodeURIComponent(job)}${at}`;
}

/** Makes the address that of a moment, without a step in the history of the browser. */
export function rewrite(job, atMs) {
  history.replaceState(null, "", link(job, atMs));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
