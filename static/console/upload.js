// The upload dialog: sends one file, then follows the writer's job until it is committed.
import { Problem, call } from "upend/api";
import { el, icon, problemNotice } from "upend/dom";

const FINAL = new Set(["succeeded", "failed"]);

async function follow(job, url, say) {
  let current = job;
  for (let look = 0; !FINAL.has(current.state); look += 1) {
    say(current);
    await new Promise((resolve) => setTimeout(resolve, look < 10 ? 300 : 1000));
    current = await call("GET", url.replace("JOB", current.id));
  }
  return current;
}

async function upload(event) {
  event.preventDefault();
  const form = event.target;
  const status = form.querySelector("[data-status]");
  const button = form.querySelector("[type=submit]");
  const words = { queued: "Waiting for the catalog's writer", running: "Writing and committing" };
  const say = (text) => status.replaceChildren(el("div", { class: "notice", role: "status" }, icon("loader-circle", "spin"), el("div", {}, text)));
  button.disabled = true;
  say("Sending the file");
  try {
    const key = { "Idempotency-Key": crypto.randomUUID() };
    const queued = await call("POST", form.dataset.api, { body: new FormData(form), headers: key });
    const job = await follow(queued, form.dataset.job, (current) => say(words[current.state] ?? current.state));
    if (job.state === "failed") throw new Problem(job.problem ?? { title: "The upload failed" });
    location.assign(form.dataset.done.replace("SCHEMA", form.elements.schema.value || "main").replace("TABLE", form.elements.table.value));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    status.replaceChildren(problemNotice(error.document));
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", upload);
  form.elements.file.addEventListener("change", () => {
    const [file] = form.elements.file.files;
    const name = file?.name.replace(/\.[^.]+$/, "").toLowerCase().replace(/[^a-z0-9_]+/g, "_");
    if (name && !form.elements.table.value) form.elements.table.value = name;
  });
}
