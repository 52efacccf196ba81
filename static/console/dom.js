// Building elements without markup in strings, so that no value can become markup.
const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes (`onclick` and the like are listeners) and children. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Return an SVG element. */
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Return one icon of the sprite, hidden from assistive technology. */
export function icon(name, extra = "") {
  const href = `${document.documentElement.dataset.icons}#${name}`;
  return svg("svg", { class: `i ${extra}`.trim(), "aria-hidden": "true" }, svg("use", { href }));
}

/** Return the badge that says where something runs or ran. */
export function placeBadge(place, text) {
  return el("span", { class: `where ${place}` }, icon(place === "local" ? "laptop" : "server"), text);
}

/** Return an element that says what is wrong and what to do. */
export function problemNotice(problem, ...actions) {
  return el(
    "div",
    { class: "notice bad", role: "alert" },
    icon("circle-alert"),
    el(
      "div",
      {},
      el("b", {}, problem.title ?? "Something went wrong"),
      el("span", {}, problem.detail ?? ""),
      problem.hint ? el("span", { class: "quiet-text" }, problem.hint) : null,
      problem.engine_error ? el("small", {}, `The engine said: ${problem.engine_error}`) : null,
      problem.request_id ? el("small", {}, `Request ${problem.request_id}`) : null,
      actions.length ? el("span", { class: "group" }, ...actions) : null,
    ),
  );
}

/** Say something briefly, without moving the page. */
export function toast(text) {
  let region = document.querySelector(".toasts");
  if (!region) {
    region = el("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  const note = el("div", { class: "toast" }, icon("circle-check"), text);
  region.append(note);
  setTimeout(() => note.remove(), 3200);
}
