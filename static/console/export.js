// Taking a result away: files by the bucket's own address, JSON put together from its pages.
import { call } from "upend/api";
import { el, toast } from "upend/dom";

const PATIENCE = 60; // seconds to wait while the server writes another format

function save(href, name) {
  const link = el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

async function written(address) {
  for (let waited = 0; waited < PATIENCE; waited += 1) {
    const answer = await fetch(address, { redirect: "manual", credentials: "same-origin" });
    if (answer.type === "opaqueredirect") return;
    if (answer.status !== 202) await call("GET", address); // throws the problem it answers with
    if (waited === 0) toast("Writing the file…");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function records(address) {
  const lines = [];
  for (let offset = 0; offset !== null; ) {
    const page = await call("GET", `${address}&offset=${offset}`);
    const names = page.columns.map(({ name }) => name);
    for (const row of page.rows) lines.push(JSON.stringify(Object.fromEntries(row.map((value, at) => [names[at], value]))));
    offset = page.next_offset ?? null;
  }
  return new Blob([`[\n${lines.join(",\n")}\n]\n`], { type: "application/json" });
}

/** Download the result at `address` (without its query string) as `format`. */
export async function exportResult(address, format, name) {
  const asked = `${address}?format=${format}`;
  if (format !== "json") {
    await written(asked);
    save(asked, name);
    return;
  }
  const url = URL.createObjectURL(await records(asked));
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
