// How the console writes sizes, counts and times: the twin of console/format.py.
const grouped = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Return a size in powers of 1000 with its unit: 7.7 MB. */
export function bytes(value) {
  let size = Number(value ?? 0);
  let unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 99.95 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

/** Return a whole number with thousands separated. */
export const count = (value) => grouped.format(value ?? 0);

/** Return a number in at most four characters: 211.2M. */
export const compact = (value) => short.format(value);

/** Return a duration a person can compare: 57 ms, 1.4 s, 3 min. */
export function seconds(value) {
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return `${Math.round(value / 60)} min`;
}

/** Return "1 row", "2 rows". */
export const plural = (value, word) => `${count(value)} ${word}${Number(value) === 1 ? "" : "s"}`;

const ordinals = new Intl.PluralRules("en", { type: "ordinal" });
const ENDS = { one: "st", two: "nd", few: "rd", other: "th" };

/** Return a query's place in the queue: "3rd in line, about 4 s". */
export function inLine({ position, expected_wait_seconds: wait }) {
  const place = `${count(position)}${ENDS[ordinals.select(position)]} in line`;
  return wait === null ? place : `${place}, about ${wait < 100 ? `${Math.max(1, Math.round(wait))} s` : seconds(wait)}`;
}

/** Tell whether a DuckDB type holds numbers. */
export const isNumeric = (type) =>
  /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DOUBLE|FLOAT|DECIMAL.*|NUMERIC.*)$/i.test(type);

/** Tell whether a DuckDB type holds moments. */
export const isTemporal = (type) => /^(DATE|TIMESTAMP.*)$/i.test(type);

/** Return the decimal text of a number, grouped, without losing a digit. */
export function digits(value) {
  const text = String(value);
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text;
  const [whole, fraction] = text.split(".");
  const separated = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}

/** Return one cell as text. */
export function cell(value, type) {
  if (value === null) return "null";
  if (isNumeric(type)) return digits(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
