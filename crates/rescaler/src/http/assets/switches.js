// Pause and dry run, and the token that they may need.

import * as server from "./server.js";

const id = (name) => document.getElementById(name);

/** Shows how the switches are set, and whether they can be changed. */
export function show(switches) {
  const [pause, dryRun] = [id("pause"), id("dry-run")];
  pause.textContent = switches.paused ? "Resume" : "Pause";
  pause.classList.toggle("main", switches.paused);
  dryRun.setAttribute("aria-pressed", String(switches.dry_run));
  pause.disabled = !switches.can_change;
  dryRun.disabled = !switches.can_change || switches.dry_run_forced;
  const closed = switches.can_change ? "" : "Read-only without a token: set http.token_file.";
  pause.title = closed || "Paused: the job is observed and recorded; nothing is decided or published.";
  dryRun.title = closed || (switches.dry_run_forced ? "The rescaler was started with --dry-run." : "Dry run: plans are recorded and not published.");
}

/** Presses a switch, with a token if it needs one; `then` is called when it is done, `refused(message)` if it is not. */
export async function press(name, action, body, then, refused) {
  try {
    await server.change(name, action, body);
    await then();
  } catch (error) {
    if (error.status !== 401) return refused(error.message);
    if (await token()) await press(name, action, body, then, refused);
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

id("token-send").addEventListener("click", () => id("token-dialog").close("send"));
id("token-cancel").addEventListener("click", () => id("token-dialog").close("cancel"));
id("token").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  id("token-dialog").close("send");
});
