// The import wizard: a file goes part by part straight to the storage, one looks into it, and the
// writer's job is followed until it is committed. What fails is kept, to be tried otherwise.
import { Problem, call } from "upend/api";
import { el, icon, problemNotice } from "upend/dom";
import { bytes } from "upend/format";

const FINAL = new Set(["succeeded", "failed"]);
const WORDS = { queued: "Waiting for the catalog's writer", running: "Writing and committing" };
const TYPES = ["BIGINT", "BOOLEAN", "DATE", "DECIMAL(18,2)", "DOUBLE", "INTEGER", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID", "VARCHAR"];
const AT_A_TIME = 3;
const TRIES = 3;
const COLUMNS_SHOWN = 200;

/** Follow a writer's job to its end. */
async function follow(job, url, say) {
  let current = job;
  for (let look = 0; !FINAL.has(current.state); look += 1) {
    say(current);
    await new Promise((resolve) => setTimeout(resolve, look < 10 ? 300 : 1000));
    current = await call("GET", url.replace("JOB", current.id));
  }
  if (current.state === "failed") throw new Problem({ title: "The file was not loaded", ...current.problem });
  return current;
}

class Wizard {
  constructor(form) {
    this.form = form;
    this.status = form.querySelector("[data-status]");
    this.look = form.querySelector("[data-look]");
    this.next = form.querySelector("[type=submit]");
    this.transfer = null;
    this.barred = false;
    form.addEventListener("submit", (event) => this.submit(event));
    form.elements.file.addEventListener("change", () => this.suggest());
    form.closest("dialog").addEventListener("close", () => this.forget());
  }

  get file() {
    return this.form.elements.file.files[0];
  }

  get target() {
    const { schema, table, mode } = this.form.elements;
    return { schema: schema.value || "main", table: table.value, mode: mode.value };
  }

  suggest() {
    const name = this.file?.name.replace(/\.[^.]+$/, "").toLowerCase().replace(/[^a-z0-9_]+/g, "_");
    if (name && !this.form.elements.table.value) this.form.elements.table.value = name;
    this.forget();
  }

  /** Give up what was sent of another file. */
  forget() {
    const gone = this.transfer;
    this.transfer = null;
    this.look.replaceChildren();
    this.status.replaceChildren();
    this.label("Continue", "arrow-right");
    if (gone) call("DELETE", `${this.form.dataset.api}/${gone.id}`).catch(() => {});
  }

  label(text, name) {
    this.next.replaceChildren(icon(name), text);
  }

  say(text, share) {
    const bar = share === undefined ? null : el("progress", { class: "busy", max: 1, value: share });
    this.status.replaceChildren(el("div", { class: "notice", role: "status" }, icon("loader-circle", "spin"), el("div", {}, text, bar)));
  }

  async submit(event) {
    event.preventDefault();
    this.next.disabled = true;
    try {
      await (this.transfer ? this.load() : this.send());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.status.replaceChildren(problemNotice(error.document));
    } finally {
      this.next.disabled = false;
    }
  }

  async send() {
    const { file } = this;
    const json = { ...this.target, file_name: file.name, size_bytes: file.size };
    const begun = await call("POST", this.form.dataset.api, { json });
    this.transfer = begun;
    const at = `${this.form.dataset.api}/${begun.id}`;
    try {
      await this.parts(at, begun, file);
      await call("POST", `${at}:complete`);
      this.say("Reading the first rows");
      const asked = await call("POST", `${at}:preview`);
      await follow(asked.preview_job, this.form.dataset.job, (job) => this.say(job.state === "queued" ? WORDS.queued : "Reading the first rows"));
      if (this.transfer === begun) this.show((await call("GET", at)).preview);
    } catch (error) {
      if (this.transfer === begun) this.forget();
      throw error;
    }
  }

  /** Send what has not arrived, a few parts at a time, until nothing is missing. */
  async parts(at, begun, file) {
    for (let idle = 0, before = Infinity; ; ) {
      const left = await call("GET", `${at}/parts`);
      if (!left.missing) return;
      idle = left.missing < before ? 0 : idle + 1;
      before = left.missing;
      if (idle === TRIES) throw new Problem({ title: "The file could not be sent", detail: "The storage takes no part of it.", hint: "Try again later, or ask an administrator to check the storage." });
      const waiting = Object.entries(left.urls);
      let sent = begun.part_count - left.missing;
      const worker = async () => {
        for (let next = waiting.shift(); next && this.transfer === begun; next = waiting.shift()) {
          this.say(`Sending ${bytes(file.size)}`, sent / begun.part_count);
          const [number, url] = next;
          const start = (Number(number) - 1) * begun.part_bytes;
          await this.part(at, number, url, file.slice(start, start + begun.part_bytes));
          sent += 1;
        }
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, worker));
      if (this.transfer !== begun) throw new Problem({ title: "Given up", detail: "Another file was chosen." });
    }
  }

  /** Send one part to the storage, or by the server where the storage lets no browser in. */
  async part(at, number, url, content) {
    if (!this.barred) {
      try {
        await fetch(url, { method: "PUT", body: content, credentials: "omit" });
        return; // what arrived is asked of the storage
      } catch {
        this.barred = true;
      }
    }
    await call("PUT", `${at}/parts/${number}`, { body: content, headers: { "Content-Type": "application/octet-stream" } });
  }

  /** Show the first rows and, for a new table, let the types be chosen. */
  show({ columns, rows }) {
    const chooses = this.target.mode === "create";
    const heads = columns.slice(0, COLUMNS_SHOWN).map(({ name, type }) => {
      const types = TYPES.includes(type) ? TYPES : [type, ...TYPES];
      const choice = el("select", { class: "input small", "data-column": name, "data-inferred": type, "aria-label": `Type of ${name}` }, ...types.map((one) => el("option", { value: one, selected: one === type }, one)));
      return el("th", { scope: "col" }, name, el("br"), chooses ? choice : el("small", {}, type));
    });
    const lines = rows.map((row) => el("tr", {}, ...row.slice(0, COLUMNS_SHOWN).map((value) => (value === null ? el("td", { class: "null" }, "null") : el("td", {}, value)))));
    const said = chooses ? "These are the first rows, and the types they show. Choose another type where it is not meant." : "These are the first rows. Columns are matched by their names.";
    this.look.replaceChildren(
      el("p", {}, said),
      el("div", { class: "list-wrap look", tabindex: 0, role: "region", "aria-label": "First rows" }, el("table", { class: "list" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...lines))),
    );
    this.status.replaceChildren();
    this.label(chooses ? "Create the table" : "Append the rows", "check");
    this.next.disabled = false;
    this.next.focus();
  }

  async load() {
    const types = Object.fromEntries([...this.look.querySelectorAll("select")].filter((one) => one.value !== one.dataset.inferred).map((one) => [one.dataset.column, one.value]));
    const { target } = this;
    const json = target.mode === "create" ? { ...target, types } : target;
    const queued = await call("POST", `${this.form.dataset.api}/${this.transfer.id}:load`, { json });
    await follow(queued, this.form.dataset.job, (job) => this.say(WORDS[job.state] ?? job.state));
    this.transfer = null;
    location.assign(this.form.dataset.done.replace("SCHEMA", target.schema).replace("TABLE", target.table));
  }
}

for (const form of document.querySelectorAll("form[data-upload]")) new Wizard(form);
