// The small picture above each result column: histogram or top values, range or distinct, nulls.
import { compact, isNumeric, isTemporal, plural } from "upend/format";
import { el, svg } from "upend/dom";

const BINS = 12;

function histogram(values, low, high) {
  const bars = Array(Math.min(BINS, values.length)).fill(0);
  for (const value of values) bars[Math.min(bars.length - 1, Math.floor(((value - low) / (high - low || 1)) * bars.length))] += 1;
  return bars;
}

function extremes(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function frequencies(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Return `{bars, label}` for the values of one column. */
export function summarize(values, type) {
  const present = values.filter((value) => value !== null);
  const nulls = values.length - present.length;
  const suffix = nulls ? `, ${plural(nulls, "null")}` : "";
  if (!present.length) return { bars: [], label: values.length ? "all null" : "no rows" };
  if (isNumeric(type)) {
    const numbers = present.map(Number).filter(Number.isFinite);
    const [low, high] = extremes(numbers);
    return { bars: histogram(numbers, low, high), label: `${compact(low)} to ${compact(high)}${suffix}` };
  }
  if (isTemporal(type)) {
    const times = present.map((value) => Date.parse(value)).filter(Number.isFinite);
    const [low, high] = extremes(times);
    const day = (time) => new Date(time).toISOString().slice(0, 10);
    if (times.length) return { bars: histogram(times, low, high), label: `${day(low)} to ${day(high)}${suffix}` };
  }
  const counts = frequencies(present.map((value) => (typeof value === "object" ? JSON.stringify(value) : value)));
  const bars = [...counts.values()].sort((a, b) => b - a).slice(0, BINS);
  return { bars, label: `${counts.size} distinct${suffix}` };
}

/** Return the elements that draw a summary. */
export function summaryElements({ bars, label }) {
  const most = Math.max(...bars, 1);
  const width = 100 / Math.max(bars.length, 1);
  const shapes = bars.map((bar, at) => {
    const height = (bar / most) * 19;
    return svg("rect", { x: at * width + 0.6, y: 20 - height, width: Math.max(width - 1.2, 0.5), height, fill: "currentColor", rx: 0.6 });
  });
  const picture = svg("svg", { class: "sp", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
  return [picture, el("span", { class: "st" }, label)];
}
