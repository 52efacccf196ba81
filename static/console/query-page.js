// The query page: ties the editor, the plan strip and the result to each other and to history.
import "upend/sql-editor";
import "upend/result-view";
import { Problem, call } from "upend/api";
import { problemNotice, toast } from "upend/dom";

const form = document.getElementById("q");
const editor = document.querySelector("sql-editor");
const view = document.querySelector("result-view");
const runButton = document.getElementById("run");
const title = document.getElementById("query-title");

const strip = () => document.querySelector("plan-strip");
const place = () => new FormData(form).get("place");

function choosePlace(value) {
  const radio = form.querySelector(`input[name=place][value=${value}]`);
  radio.checked = true;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

function showElsewhere() {
  const template = strip().querySelector("template");
  view.instead(template.content.cloneNode(true));
  view.querySelector("[data-run-on-server]")?.addEventListener("click", () => {
    choosePlace("server");
    run("server");
  });
}

function run(where = place()) {
  const sql = editor.value.trim();
  if (!sql) {
    editor.view.focus();
    return;
  }
  if (where === "local" && strip()?.querySelector("template")) {
    showElsewhere();
    return;
  }
  view.run({ sql: editor.value, place: where });
}

function stop(event) {
  if (event.key !== "Escape" || !view.isRunning) return;
  if (document.querySelector("dialog[open], :popover-open, .cm-tooltip-autocomplete")) return;
  view.cancel();
}

function shown(query) {
  const address = view.dataset.pages.replace("QUERY", query.id);
  if (location.pathname === address) return;
  history.pushState({ query: query.id, sql: query.sql }, "", address);
}

function cameBack() {
  location.reload(); // the server renders every address of this page completely
}

function planned() {
  const current = strip();
  if (!current) return;
  const { line, column, message, place: planPlace } = current.dataset;
  editor.mark(Number(line), Number(column), message ?? "");
  runButton.querySelector("span").textContent = planPlace === "local" ? "How to run" : "Run";
}

async function save(event) {
  event.preventDefault();
  const dialog = event.target.closest("dialog");
  const { name, description } = Object.fromEntries(new FormData(event.target));
  try {
    const { saved, savedName } = event.target.dataset;
    const isSame = saved && name === savedName;
    const address = `${view.dataset.api}saved-queries${isSame ? `/${saved}` : ""}`;
    await call(isSame ? "PATCH" : "POST", address, { json: { name, description, sql: editor.value } });
    title.textContent = name;
    toast(`Saved “${name}” for the workspace`);
    dialog.close();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    dialog.querySelector("[data-problem]").replaceChildren(problemNotice(error.document));
  }
}

runButton.addEventListener("click", () => run());
document.addEventListener("query:run", () => run());
document.addEventListener("keydown", stop);
addEventListener("popstate", cameBack);
view.addEventListener("query:adopted", (event) => shown(event.detail));
form.addEventListener("htmx:afterSwap", planned);
document.getElementById("save-form").addEventListener("submit", save);
document.getElementById("tree-button").addEventListener("click", () => document.querySelector(".tree").classList.toggle("shown"));
document.querySelector(".tree").addEventListener("click", (event) => {
  const leaf = event.target.closest("[data-insert]");
  if (leaf) editor.insert(leaf.dataset.insert);
});
