// The events page by keyboard: J and K walk the list, Escape closes the side.
const typing = (target) => target.closest?.("input, textarea, select, dialog[open]");

function step(by) {
  const links = [...document.querySelectorAll(".list tbody a.main")];
  const at = links.findIndex((link) => link.closest("tr").getAttribute("aria-selected") === "true");
  links[Math.max(0, Math.min(links.length - 1, at + by))]?.click();
}

addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || typing(event.target)) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "Escape") document.querySelector(".side [aria-label=Close]")?.click();
});
document.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
