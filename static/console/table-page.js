// The page of a table: its definition changed with a preview, its history compared and taken
// back, its columns profiled by an ordinary query.
import { Problem, call } from "upend/api";
import { el, icon, problemNotice } from "upend/dom";
import { bytes, count } from "upend/format";

const page = document.querySelector("[data-table-api]");
const { tableApi: api, jobApi, tablePage } = page.dataset;
const ENDED = new Set(["succeeded", "failed", "cancelled"]);

const statusOf = (dialog) => dialog.querySelector("[data-status]");
const busy = (text) => el("div", { class: "notice", role: "status" }, icon("loader-circle", "spin"), el("div", {}, text));

/** Show what `work` returns in the dialog's status, or the problem that stopped it. */
async function shown(dialog, text, work) {
  const status = statusOf(dialog);
  status.replaceChildren(busy(text));
  try {
    const found = await work((other) => status.replaceChildren(busy(other)));
    if (found) status.replaceChildren(...found);
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    status.replaceChildren(problemNotice(error.document));
    return false;
  }
}

/** Follow a writer job to its end; throw its problem where it failed. */
async function finished(job, say) {
  let current = job;
  for (let look = 0; !ENDED.has(current.state); look += 1) {
    say(current.state === "queued" ? "Waiting for the catalog's writer" : "Writing and committing");
    await new Promise((resolve) => setTimeout(resolve, look < 10 ? 300 : 1000));
    current = await call("GET", jobApi.replace("JOB", current.id));
  }
  if (current.state === "failed") throw new Problem(current.problem ?? { title: "The job failed" });
}

const lines = (items, make) => el("ul", { class: "plain" }, ...items.map((item) => el("li", {}, ...make(item))));

function steps(preview) {
  const found = [lines(preview.steps, (step) => [step.does, el("br"), el("code", { class: "ty" }, step.sql)])];
  if (preview.breaks?.length) {
    const told = lines(preview.breaks, (one) => [el("b", {}, `${one.kind.replace("_", " ")} ${one.name}`), ` ${one.detail}`]);
    found.push(el("div", { class: "notice warn", role: "status" }, icon("triangle-alert"), el("div", {}, el("b", {}, "What it touches"), told)));
  }
  return found;
}

const KEY = /^(?:(year|month|day|hour|bucket)\((?:(\d+),\s*)?(.+)\)|(.+))$/i;

function keys(operation, text) {
  return text.split(/,(?![^(]*\))/).map((one) => one.trim()).filter(Boolean).map((one) => {
    if (operation === "sort_by") return { column: one.replace(/\s+(asc|desc)$/i, ""), descending: /\sdesc$/i.test(one) };
    const [, transform, buckets, inner, whole] = one.match(KEY);
    if (!transform) return { column: whole, transform: "identity" };
    return { column: inner, transform: transform.toLowerCase(), ...(buckets ? { buckets: Number(buckets) } : {}) };
  });
}

function asked(form) {
  const { op } = Object.fromEntries(new FormData(form));
  const value = (name) => form.elements[name].value;
  const wanted = new Set(form.elements.op.selectedOptions[0].dataset.fields.split(" "));
  const operation = { op };
  if (wanted.has("column")) operation.column = value("column");
  if (wanted.has("new")) operation.column = value("new").trim();
  for (const name of ["to", "type", "comment"]) if (wanted.has(name)) operation[name] = value(name).trim();
  if (wanted.has("default")) {
    if (value("default") !== "") operation.default = value("default");
    else if (op === "set_default") operation.default = null;
  }
  if (wanted.has("keys")) operation[op] = keys(op, value("keys"));
  return operation;
}

function changing(dialog) {
  const form = dialog.querySelector("form");
  const doIt = form.querySelector("[type=submit]");
  let version = "";
  const fit = () => {
    const wanted = new Set(form.elements.op.selectedOptions[0].dataset.fields.split(" "));
    for (const field of form.querySelectorAll("[data-field]")) field.hidden = !wanted.has(field.dataset.field);
  };
  form.addEventListener("input", () => {
    fit();
    doIt.disabled = true;
    statusOf(dialog).replaceChildren();
  });
  form.querySelector("[data-preview]").addEventListener("click", async () => {
    doIt.disabled = !(await shown(dialog, "Working it out", async () => {
      const preview = await call("POST", `${api}/changes`, { json: { operations: [asked(form)], dry_run: true } });
      version = String(preview.schema_version);
      return steps(preview);
    }));
    if (!doIt.disabled) doIt.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    doIt.disabled = true;
    const operation = asked(form);
    await shown(dialog, "Sending it", async (say) => {
      const headers = { "If-Match": `"${version}"`, "Idempotency-Key": crypto.randomUUID() };
      await finished(await call("POST", `${api}/changes`, { json: { operations: [operation] }, headers }), say);
      if (operation.op === "drop_table") location.assign(page.dataset.catalogPage);
      else if (operation.op === "rename_table") location.assign(tablePage.replace("TABLE", operation.to));
      else location.reload();
    });
  });
  fit();
}

function rollingBack(dialog) {
  const form = dialog.querySelector("form");
  const doIt = form.querySelector("[type=submit]");
  let snapshot = 0;
  for (const button of document.querySelectorAll("[data-rollback]")) {
    button.addEventListener("click", async () => {
      snapshot = Number(button.dataset.rollback);
      doIt.disabled = true;
      form.querySelector("h2").textContent = `Roll back to snapshot ${snapshot}`;
      dialog.showModal();
      doIt.disabled = !(await shown(dialog, "Working it out", async () => {
        const preview = await call("POST", `${api}/rollback`, { json: { snapshot, dry_run: true } });
        const rows = el("p", {}, `${count(preview.rows_now)} rows become ${count(preview.rows_then)}. It is a new snapshot: you can go back from it.`);
        return [rows, ...steps(preview), ...(preview.notes.length ? [lines(preview.notes, (note) => [note])] : [])];
      }));
    });
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    doIt.disabled = true;
    await shown(dialog, "Sending it", async (say) => {
      const headers = { "Idempotency-Key": crypto.randomUUID() };
      await finished(await call("POST", `${api}/rollback`, { json: { snapshot }, headers }), say);
      location.reload();
    });
  });
}

function comparing(dialog) {
  for (const button of document.querySelectorAll("[data-compare]")) {
    button.addEventListener("click", async () => {
      const first = button.dataset.compare;
      dialog.querySelector("h2").textContent = `Snapshot ${first}, compared with now`;
      dialog.showModal();
      await shown(dialog, "Comparing", async () => {
        const found = await call("GET", `${api}/differences?first=${first}`);
        const { before, after, files, definition } = found;
        const fact = (name, text) => el("div", {}, el("dt", {}, name), el("dd", {}, text));
        const changed = el("div", {});
        const show = el("button", { class: "btn small", type: "button", onclick: () => changedRows(changed, Number(first)) }, "Show some changed rows");
        changed.append(show);
        return [
          el("dl", { class: "facts" },
            fact("Rows", `${count(before.rows)} → ${count(after.rows)}`),
            fact("Files added", `${count(files.added)} (${bytes(files.added_bytes)})`),
            fact("Files gone", `${count(files.removed)} (${bytes(files.removed_bytes)})`)),
          definition.length ? lines(definition, (one) => [one]) : el("p", {}, "Its definition is the same."),
          changed,
        ];
      });
    });
  }
}

const cell = (value) => el("td", {}, el("div", { class: "clip" }, value === null || value === undefined ? el("small", {}, "null") : String(value)));

function rowsTable(columns, rows) {
  const head = el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name))));
  return el("div", { class: "list-wrap" }, el("table", { class: "list" }, head, el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells)))));
}

const CHANGES = { insert: ["added", "good"], delete: ["deleted", "bad"], update_preimage: ["was", ""], update_postimage: ["became", "accent"] };

/** Show, in `place`, some rows that changed since a snapshot; refused where policies hide any. */
async function changedRows(place, first) {
  const status = el("div", { "data-status": true });
  place.replaceChildren(status);
  await shown(place, "Asking for them", async (say) => {
    const job = await call("POST", `${api}/changed-rows`, { json: { first } });
    await finished(job, say);
    const found = await call("GET", page.dataset.changesApi.replace("JOB", job.id));
    if (!found.rows.length) return [el("p", {}, "No row differs.")];
    const mark = ([text, kind]) => el("td", {}, el("span", { class: `tag ${kind}`.trim() }, text));
    const rows = found.rows.map((row) => [mark(CHANGES[row.change] ?? [row.change, ""]), ...row.values.map(cell)]);
    const more = found.is_cut ? el("p", { class: "hint" }, `Some ${count(rows.length)} rows: more changed than are shown.`) : null;
    return [el("h3", {}, "Changed rows"), rowsTable(["", ...found.columns], rows), ...(more ? [more] : [])];
  });
}

function sampling() {
  const button = document.querySelector("[data-sample]");
  button?.addEventListener("click", async () => {
    const section = button.closest("section");
    const name = ["catalog", "schema", "table"].map((key) => button.dataset[key]).map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
    button.disabled = true;
    await shown(section, "Reading some rows", async (say) => {
      const json = { sql: `SELECT * FROM ${name} LIMIT 20`, place: "server" };
      const query = await call("POST", page.dataset.queryApi.replace("/QUERY", ""), { json, headers: { Prefer: "wait=10" } });
      const { columns, rows } = await answered(query, say, "Reading some rows");
      if (!rows.length) return [el("p", {}, "No row that you may see.")];
      return [rowsTable(columns.map((one) => one.name), rows.map((row) => row.map(cell)))];
    });
    button.disabled = false;
  });
}

/** Return the result of a query once it has ended. */
async function answered(query, say, what = "Reading the column") {
  let current = query;
  const address = page.dataset.queryApi.replace("QUERY", query.id);
  while (!ENDED.has(current.state)) {
    say(what);
    current = await call("GET", address, { headers: { Prefer: "wait=10" } });
  }
  if (current.state !== "succeeded") throw new Problem(current.problem ?? { title: "It could not be read" });
  return call("GET", `${address}/result?limit=200`);
}

function bars(title, rows) {
  if (!rows.length) return [];
  const most = Math.max(...rows.map(([, , value]) => Number(value)));
  const row = ([, label, value]) => el("tr", {},
    el("td", {}, el("div", { class: "clip" }, label ?? "")),
    el("td", { class: "num" }, count(value)),
    el("td", {}, el("meter", { min: 0, max: most, value, "aria-label": `${label}: ${value}` })));
  return [el("h3", {}, title), el("table", { class: "list" }, el("tbody", {}, ...rows.map(row)))];
}

function profiling(dialog) {
  for (const button of document.querySelectorAll("[data-profile]")) {
    button.addEventListener("click", async () => {
      const column = button.dataset.profile;
      dialog.querySelector("h2").textContent = `Profile of ${column}`;
      dialog.showModal();
      await shown(dialog, "Reading the column", async (say) => {
        const query = await call("POST", `${api}/profile`, { json: { column }, headers: { Prefer: "wait=10" } });
        const { rows } = await answered(query, say);
        const of = (kind) => rows.filter((row) => row[0] === kind).sort((a, b) => Number(a[3]) - Number(b[3]));
        const facts = of("fact").map(([, label, value]) => el("div", {}, el("dt", {}, label === "distinct" ? "about distinct" : label), el("dd", {}, value ?? "none")));
        return [el("dl", { class: "facts" }, ...facts), ...bars("Distribution", of("bin")), ...bars("Most frequent", of("top"))];
      });
    });
  }
}

sampling();
const start = { "change-table": changing, "roll-back": rollingBack, compare: comparing, profile: profiling };
for (const [id, begin] of Object.entries(start)) {
  const dialog = document.getElementById(id);
  if (dialog) begin(dialog);
}
