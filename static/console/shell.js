// The frame of every page: theme, command palette, keyboard, copy buttons, dialogs.
import { toast } from "upend/dom";

const root = document.documentElement;
const palette = document.getElementById("palette");
const shortcuts = document.getElementById("shortcuts");

function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  document.cookie = `upend_theme=${next}; path=/; max-age=31536000; SameSite=Lax`;
  document.dispatchEvent(new Event("theme:changed"));
}

function openPalette() {
  if (!palette || palette.open) return;
  palette.showModal();
  const input = palette.querySelector("input");
  input.value = "";
  input.dispatchEvent(new Event("palette:open"));
  input.focus();
}

function options() {
  return [...palette.querySelectorAll("[role=option]")];
}

function select(option) {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  palette.querySelector("input").setAttribute("aria-activedescendant", option?.id ?? "");
  option?.scrollIntoView({ block: "nearest" });
}

const ACTIONS = {
  "switch-theme": switchTheme,
  shortcuts: () => shortcuts?.showModal(),
  "run-query": () => document.dispatchEvent(new Event("query:run")),
  "save-query": () => document.querySelector("[data-dialog=save-dialog]")?.click(),
};

function choose(option) {
  if (!option) return;
  palette.close();
  if (option.dataset.action) ACTIONS[option.dataset.action]?.();
  else location.assign(option.dataset.href);
}

function paletteKeys(event) {
  const all = options();
  const at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && all.length) {
    event.preventDefault();
    select(all[(at + step + all.length) % all.length]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    choose(all[at]);
  }
}

let going = 0;

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable=true], dialog[open]");
}

function pageKeys(event) {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") shortcuts?.showModal();
  else if (event.key === "/") {
    const search = document.querySelector("main input[type=search]");
    if (search) event.preventDefault();
    search?.focus();
  } else if (going && performance.now() - going < 1500) {
    going = 0;
    document.querySelector(`.rail a[data-key="${CSS.escape(event.key.toLowerCase())}"]`)?.click();
  } else if (event.key.toLowerCase() === "g") going = performance.now();
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = source ? source.textContent : button.dataset.text;
  await navigator.clipboard.writeText(text);
  toast("Copied");
}

addEventListener("keydown", pageKeys);
document.getElementById("theme")?.addEventListener("click", switchTheme);
document.getElementById("open-palette")?.addEventListener("click", openPalette);
palette?.addEventListener("keydown", paletteKeys);
palette?.addEventListener("click", (event) => {
  if (event.target === palette) palette.close();
  choose(event.target.closest("[role=option]"));
});
palette?.addEventListener("mousemove", (event) => {
  const option = event.target.closest("[role=option]");
  if (option && option.getAttribute("aria-selected") !== "true") select(option);
});
document.addEventListener("click", (event) => {
  const copier = event.target.closest("[data-copy], [data-text]");
  if (copier) copy(copier);
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog, [popover]")?.close?.();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
