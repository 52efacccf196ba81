// A table of any length: only the rows in view exist, pages are fetched as one scrolls.
import { cell, count, isNumeric } from "upend/format";
import { el } from "upend/dom";
import { summarize, summaryElements } from "upend/column-summary";

export const PAGE_ROWS = 1000;
const ROW_HEIGHT = 31;
const OVERSCAN = 12;
const MOST_ROWS = 900_000; // taller elements than this many rows are beyond what browsers lay out

/** The rows of one result; `load(offset)` returns a page of at most `PAGE_ROWS` rows. */
export class ResultTable {
  constructor({ columns, rowCount, firstPage, load }) {
    this.columns = columns;
    this.total = Math.min(rowCount, MOST_ROWS);
    this.pages = new Map([[0, firstPage]]);
    this.load = load;
    this.body = el("tbody");
    const partial = rowCount > firstPage.length ? ` The summaries are of the first ${count(firstPage.length)} rows.` : "";
    this.table = el(
      "table",
      { class: "grid", "aria-rowcount": rowCount + 1 },
      el("caption", { class: "sr" }, `Query result.${partial}`),
      el("thead", {}, el("tr", {}, ...columns.map((column, at) => this.header(column, at, firstPage, partial)))),
      this.body,
    );
    this.element = el("div", { class: "tw", tabindex: "0", role: "region", "aria-label": "Result table" }, this.table);
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  header({ name, type }, at, rows, partial) {
    const summary = summarize(rows.map((row) => row[at]), type);
    return el(
      "th",
      { scope: "col", class: isNumeric(type) ? "num" : false, title: `${name} ${type}.${partial}` },
      el("span", { class: "h" }, el("span", {}, name), el("span", { class: "ty" }, type.toLowerCase())),
      ...summaryElements(summary),
    );
  }

  row(index) {
    const page = this.pages.get(Math.floor(index / PAGE_ROWS));
    return Array.isArray(page) ? page[index % PAGE_ROWS] : undefined;
  }

  async fetch(page) {
    if (this.pages.has(page)) return;
    this.pages.set(page, "loading");
    try {
      this.pages.set(page, await this.load(page * PAGE_ROWS));
      this.drawn = null;
      this.draw();
    } catch (error) {
      this.pages.delete(page);
      this.element.dispatchEvent(new CustomEvent("page:failed", { bubbles: true, detail: error }));
    }
  }

  draw() {
    const { scrollTop, clientHeight } = this.element;
    const from = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - OVERSCAN);
    const to = Math.min(this.total, from + Math.ceil((clientHeight || 600) / ROW_HEIGHT) + 2 * OVERSCAN);
    if (this.drawn === `${from}-${to}`) return;
    this.drawn = `${from}-${to}`;
    for (let page = Math.floor(from / PAGE_ROWS); page * PAGE_ROWS < to; page += 1) this.fetch(page);
    const rows = [];
    for (let index = from; index < to; index += 1) rows.push(this.line(index));
    this.body.replaceChildren(this.padding(from), ...rows, this.padding(this.total - to));
    this.keepWidths();
  }

  line(index) {
    const row = this.row(index);
    const cells = this.columns.map(({ type }, at) => {
      if (!row) return el("td", { class: "wait" }, "…");
      const kind = [isNumeric(type) ? "num" : "", row[at] === null ? "null" : ""].join(" ").trim();
      const text = cell(row[at], type);
      return el("td", { class: kind || false, title: text.length > 48 ? text : false }, text);
    });
    return el("tr", { "aria-rowindex": index + 2 }, ...cells);
  }

  padding(rows) {
    const inner = el("td", { colspan: this.columns.length });
    inner.style.height = `${rows * ROW_HEIGHT}px`;
    return el("tr", { class: "pad", "aria-hidden": "true" }, inner);
  }

  /** Columns may grow while scrolling, never shrink: the eye keeps its place. */
  keepWidths() {
    for (const head of this.table.tHead.rows[0].cells) {
      if (head.offsetWidth > (Number.parseInt(head.style.minWidth, 10) || 0)) head.style.minWidth = `${Math.min(head.offsetWidth, 420)}px`;
    }
  }
}
