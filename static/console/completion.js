// What the editor offers: columns of the tables in the query first, then tables, then words.

const TABLE_IN_QUERY = /\b(?:from|join)\s+((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+)){0,2})(?:\s+(?:as\s+)?([a-z_]\w*))?/gi;
const RESERVED = new Set("on using where group order left right inner full cross join limit having union natural asof qualify window as".split(" "));
const FUNCTIONS = "abs avg coalesce concat corr count date_diff date_part date_trunc dayname extract floor ceil first last lag lead length like list lower max median min mode monthname ntile quantile_cont rank regexp_matches replace round row_number split_part sqrt starts_with stddev strftime strptime sum trim try_cast upper variance".split(" ");

const bare = (text) => text.replace(/"/g, "").replace(/\s+/g, "").toLowerCase();
const quoted = (name) => (/^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** Index the tree by every way SQL may spell a table. */
export function indexTables(tree) {
  const tables = tree.map((table) => ({ ...table, path: `${table.catalog}.${table.schema}.${table.name}` }));
  const spellings = new Map();
  for (const table of tables) {
    const { catalog, schema, name } = table;
    for (const spelling of [`${catalog}.${schema}.${name}`, schema === "main" ? `${catalog}.${name}` : `${schema}.${name}`, name])
      if (!spellings.has(spelling.toLowerCase())) spellings.set(spelling.toLowerCase(), table);
  }
  return { tables, spellings };
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

/** Return a CodeMirror completion source over the workspace's tables. */
export function catalogCompletion(index) {
  const unique = (table) => index.spellings.get(table.name.toLowerCase()) === table;
  const everything = [
    ...index.tables.map((t) => ({ label: unique(t) ? t.name : t.path, apply: (unique(t) ? [t.name] : [t.catalog, t.schema, t.name]).map(quoted).join("."), detail: t.path, type: "type", boost: 5 })),
    ...FUNCTIONS.map((name) => ({ label: name, apply: `${name}(`, type: "function" })),
  ];
  return (context) => {
    const named = tablesOf(context.state.doc.toString(), index.spellings);
    const dotted = context.matchBefore(/(?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?\.[\w$]*/);
    if (dotted) {
      const dot = dotted.text.lastIndexOf(".");
      return { from: dotted.from + dot + 1, options: members(bare(dotted.text.slice(0, dot)), index, named), validFor: /^[\w$]*$/ };
    }
    const word = context.matchBefore(/[\w$]+/);
    if (!word && !context.explicit) return null;
    const columns = [...new Set(named.values())].flatMap((table) => table.columns.map(column(15)));
    const options = [...new Map([...columns, ...everything].map((option) => [`${option.type} ${option.label}`, option])).values()];
    return { from: word ? word.from : context.pos, options, validFor: /^[\w$]*$/ };
  };
}
