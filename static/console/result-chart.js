// One chart of a result, guessed from its columns and changeable: bars, a line, or points.
import { compact, digits, isNumeric, isTemporal } from "upend/format";
import { el } from "upend/dom";

const MOST_BARS = 400;
const MEASURE = /rev|sum|total|amount|avg|mean|count|delay|share|pct|rate|^n$/i;

/** Return `{x, y, kind}` as column numbers, or null where nothing can be drawn. */
export function guess(columns, rows) {
  const numeric = columns.flatMap(({ type }, at) => (isNumeric(type) ? [at] : []));
  if (!numeric.length || rows.length < 2) return null;
  const temporal = columns.findIndex(({ type }) => isTemporal(type));
  const named = columns.findIndex(({ type }) => !isNumeric(type));
  const x = temporal >= 0 ? temporal : named >= 0 ? named : numeric[0];
  const candidates = numeric.filter((at) => at !== x);
  if (!candidates.length) return null;
  const y = candidates.find((at) => isSorted(rows, at)) ?? candidates.find((at) => MEASURE.test(columns[at].name)) ?? candidates[0];
  return { x, y, kind: kindFor(columns[x].type, rows, x) };
}

/** Tell whether the rows are ordered by a column: then that is what the question was about. */
function isSorted(rows, at) {
  const values = rows.map((row) => row[at]).filter((value) => value !== null).map(Number);
  const steps = values.slice(1).map((value, before) => Math.sign(value - values[before]));
  return values.length > 2 && steps.some(Boolean) && (steps.every((step) => step <= 0) || steps.every((step) => step >= 0));
}

function kindFor(type, rows, x) {
  if (isTemporal(type)) return "line";
  if (!isNumeric(type)) return rows.length <= MOST_BARS ? "bar" : "line";
  return new Set(rows.map((row) => row[x])).size === rows.length && rows.length <= 60 ? "bar" : "scatter";
}

function colours() {
  const probe = el("i");
  document.body.append(probe);
  const found = Object.fromEntries(
    ["ink", "ink-2", "ink-3", "line", "line-2", "accent", "raised"].map((token) => {
      probe.style.color = `var(--${token})`;
      return [token, getComputedStyle(probe).color];
    }),
  );
  probe.remove();
  return found;
}

function axes({ columns, rows, x, kind, c }) {
  const categories = { data: rows.map((row) => String(row[x])), axisTick: { show: false }, axisLine: { lineStyle: { color: c["line-2"] } }, axisLabel: { color: c["ink-2"], fontSize: 11.5, hideOverlap: true, width: 130, overflow: "truncate" } };
  const values = { type: "value", axisLabel: { color: c["ink-3"], fontSize: 11, formatter: compact }, splitLine: { lineStyle: { color: c.line } }, splitNumber: 4 };
  const sideways = kind === "bar" && !isNumeric(columns[x].type) && rows.length <= 40;
  if (sideways) return { sideways, xAxis: values, yAxis: { ...categories, type: "category", inverse: true } };
  if (kind === "scatter") return { sideways, xAxis: { ...values, scale: true }, yAxis: { ...values, scale: true } };
  const time = kind === "line" && isTemporal(columns[x].type);
  return { sideways, xAxis: { ...categories, data: time ? undefined : categories.data, type: time ? "time" : "category", boundaryGap: kind === "bar" }, yAxis: values };
}

function series({ columns, rows, x, y, kind, sideways, c }) {
  const number = (row) => (row[y] === null ? null : Number(row[y]));
  const paired = kind === "scatter" || (kind === "line" && isTemporal(columns[x].type));
  const label = { show: sideways, position: "right", color: c["ink-2"], fontSize: 11, formatter: ({ value }) => compact(value) };
  return {
    type: kind,
    name: columns[y].name,
    data: paired ? rows.map((row) => [kind === "line" ? Date.parse(row[x]) : Number(row[x]), number(row)]) : rows.map(number),
    barMaxWidth: sideways ? 18 : 34,
    symbolSize: kind === "scatter" ? 6 : 4,
    showSymbol: rows.length <= 60,
    itemStyle: { color: c.accent, borderRadius: 3, opacity: kind === "scatter" ? 0.65 : 1 },
    lineStyle: { color: c.accent, width: 2 },
    label,
  };
}

function option(view) {
  const c = colours();
  const layout = axes({ ...view, c });
  const tip = { color: c.ink, fontSize: 12 };
  return {
    animation: false,
    aria: { enabled: true },
    textStyle: { fontFamily: "Inter" },
    grid: { left: 6, right: layout.sideways ? 54 : 18, top: 14, bottom: 6, containLabel: true },
    tooltip: { trigger: view.kind === "scatter" ? "item" : "axis", renderMode: "richText", backgroundColor: c.raised, borderColor: c.line, textStyle: tip, valueFormatter: (value) => digits(value ?? "null") },
    xAxis: layout.xAxis,
    yAxis: layout.yAxis,
    series: [series({ ...view, sideways: layout.sideways, c })],
  };
}

/** A chart with its controls; `rows` are what the first page holds. */
export class ResultChart {
  constructor({ columns, rows, rowCount }) {
    Object.assign(this, { columns, rows, choice: guess(columns, rows) });
    this.note = rowCount > rows.length ? `first ${rows.length} rows` : "";
    this.canvas = el("div", { class: "chart", role: "img" });
    this.title = el("h3", { class: "sr" });
    this.element = el("div", { class: "cw" }, el("header", {}, this.title, ...this.controls(), el("small", {}, this.note)), this.canvas);
  }

  controls() {
    if (!this.choice) return [];
    const numeric = this.columns.map((column, at) => [at, column]).filter(([, { type }]) => isNumeric(type));
    return [
      this.picker("y", "Measure", numeric.map(([at, { name }]) => [at, name])),
      el("span", { class: "quiet-text" }, "by"),
      this.picker("x", "Across", this.columns.map((column, at) => [at, column.name])),
      el("span", { class: "spacer" }),
      this.picker("kind", "Chart", [["bar", "Bars"], ["line", "Line"], ["scatter", "Points"]]),
    ];
  }

  picker(key, label, choices) {
    const options = choices.map(([value, text]) => el("option", { value, selected: this.choice[key] === value }, text));
    const change = (event) => {
      const { value } = event.target;
      this.choice[key] = key === "kind" ? value : Number(value);
      this.draw();
    };
    return el("select", { "aria-label": label, onchange: change }, ...options);
  }

  async draw() {
    if (!this.choice) return;
    const { x, y, kind } = this.choice;
    this.title.textContent = `${this.columns[y].name} by ${this.columns[x].name}`;
    this.canvas.setAttribute("aria-label", `${kind} chart of ${this.columns[y].name} by ${this.columns[x].name}; the table holds the same numbers`);
    const { init } = await import("upend/echarts");
    this.chart?.dispose();
    this.chart = init(this.canvas, null, { renderer: "svg" });
    this.chart.setOption(option({ columns: this.columns, rows: this.rows, x, y, kind }));
    this.sizes ??= new ResizeObserver(() => this.chart.resize());
    this.sizes.observe(this.canvas);
  }

  dispose() {
    this.sizes?.disconnect();
    this.chart?.dispose();
  }
}
