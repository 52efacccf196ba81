// What the editor offers: columns of the tables in the query first, then tables, then words.

const TABLE_IN_QUERY = /\b(?:from|join)\s+((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+)){0,2})(?:\s+(?:as\s+)?([a-z_]\w*))?/gi;
const RESERVED = new Set("on using where group order left right inner full cross join limit having union natural asof qualify window as".split(" "));
const FUNCTIONS = "abs avg coalesce concat corr count date_diff date_part date_trunc dayname extract floor ceil first last lag lead length like list lower max median min mode monthname ntile quantile_cont rank regexp_matches replace round row_number split_part sqrt starts_with stddev strftime strptime sum trim try_cast upper variance".split(" ");

const bare = (text) => text.replace(/"/g, "").replace(/\s+/g, "").toLowerCase();
const quoted = (name) => (/^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** Knows tables by every way SQL may spell them; asks `address`, where there is one, for others. */
export class TableIndex {
  constructor(tree, address) {
    this.address = address;
    this.asked = new Map();
    this.tables = [];
    this.spellings = new Map();
    this.add(tree);
  }

  add(tree) {
    for (const table of tree) {
      const { catalog, schema, name } = table;
      const path = `${catalog}.${schema}.${name}`;
      if (this.spellings.get(path.toLowerCase())?.path === path) continue;
      const entry = { ...table, path };
      this.tables.push(entry);
      for (const spelling of [path, schema === "main" ? `${catalog}.${name}` : `${schema}.${name}`, name])
        if (!this.spellings.has(spelling.toLowerCase())) this.spellings.set(spelling.toLowerCase(), entry);
    }
  }

  /** Learn of the tables whose names hold the parts of `name`; each is asked for once. */
  learn(name) {
    const text = name.replaceAll(".", " ").trim();
    if (!this.address || text.length < 2) return undefined;
    if (!this.asked.has(text)) this.asked.set(text, this.ask(text));
    return this.asked.get(text);
  }

  async ask(text) {
    const answer = await fetch(`${this.address}?q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
    if (answer.ok) this.add((await answer.json()).tables);
  }
}

function tablesOf(text, spellings) {
  const found = new Map();
  for (const [, name, alias] of text.matchAll(TABLE_IN_QUERY)) {
    const table = spellings.get(bare(name));
    if (!table) continue;
    found.set(table.name.toLowerCase(), table);
    if (alias && !RESERVED.has(alias.toLowerCase())) found.set(alias.toLowerCase(), table);
  }
  return found;
}

const namesIn = (text) => [...text.matchAll(TABLE_IN_QUERY)].map(([, name]) => bare(name));

const column = (boost) => ({ name, type }) => ({ label: name, apply: quoted(name), detail: type.toLowerCase(), type: "property", boost });

function members(prefix, index, named) {
  const table = named.get(prefix) ?? index.spellings.get(prefix);
  const children = index.tables.filter((t) => t.catalog.toLowerCase() === prefix || `${t.catalog}.${t.schema}`.toLowerCase() === prefix);
  return [
    ...(table ? table.columns.map(column(20)) : []),
    ...children.map((t) => {
      const inside = prefix.includes(".") || t.schema === "main";
      return { label: inside ? t.name : `${t.schema}.${t.name}`, apply: inside ? quoted(t.name) : `${quoted(t.schema)}.${quoted(t.name)}`, detail: t.rows, type: "type", boost: 10 };
    }),
  ];
}

function words(index) {
  const unique = (table) => index.spellings.get(table.name.toLowerCase()) === table;
  return [
    ...index.tables.map((t) => ({ label: unique(t) ? t.name : t.path, apply: (unique(t) ? [t.name] : [t.catalog, t.schema, t.name]).map(quoted).join("."), detail: t.path, type: "type", boost: 5 })),
    ...FUNCTIONS.map((name) => ({ label: name, apply: `${name}(`, type: "function" })),
  ];
}

/** Return a CodeMirror completion source over the workspace's tables. */
export function catalogCompletion(index) {
  // What is typed next may name a table that was not asked for: options are then made anew.
  const validFor = index.address ? undefined : /^[\w$]*$/;
  return async (context) => {
    const text = context.state.doc.toString();
    const dotted = context.matchBefore(/(?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?\.[\w$]*/);
    const word = context.matchBefore(/[\w$]+/);
    if (!dotted && !word && !context.explicit) return null;
    const unknown = namesIn(text).filter((name) => !index.spellings.has(name));
    await Promise.all([...unknown.slice(0, 4), bare((dotted ?? word)?.text ?? "")].map((name) => index.learn(name)));
    if (context.aborted) return null;
    const named = tablesOf(text, index.spellings);
    if (dotted) {
      const dot = dotted.text.lastIndexOf(".");
      return { from: dotted.from + dot + 1, options: members(bare(dotted.text.slice(0, dot)), index, named), validFor };
    }
    const columns = [...new Set(named.values())].flatMap((table) => table.columns.map(column(15)));
    const options = [...new Map([...columns, ...words(index)].map((option) => [`${option.type} ${option.label}`, option])).values()];
    return { from: word ? word.from : context.pos, options, validFor };
  };
}
