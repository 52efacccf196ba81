// Rebuilds static/vendor from the packages in package-lock.json: `npm ci && npm run build`.
// Nothing of this runs when Upend runs; the outputs are checked in with their SHA-256.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = dirname(fileURLToPath(import.meta.url));
const target = join(source, "..");
const modules = join(source, "node_modules");
const manifest = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));

async function bundle(entry, file) {
  const banner = { js: `/* Bundled from npm packages: see README.md and licences/ beside this file. */` };
  await build({
    entryPoints: [join(source, entry)], outfile: join(target, file), bundle: true, format: "esm",
    minify: true, target: "es2022", legalComments: "none", banner,
    define: { "process.env.NODE_ENV": '"production"' },
  });
}

function sprite() {
  const names = readFileSync(join(source, "icons.txt"), "utf8").split("\n").filter(Boolean);
  const symbols = names.map((name) => {
    const svg = readFileSync(join(modules, "lucide-static", "icons", `${name}.svg`), "utf8");
    const body = svg.replace(/[\s\S]*?<svg[\s\S]*?>/, "").replace("</svg>", "").replace(/\s*\n\s*/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24">${body}</symbol>`;
  });
  const text = `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
  writeFileSync(join(target, "icons.svg"), text);
}

function licence(name) {
  const folder = join(modules, name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} ships no licence text`);
  const text = ["NOTICE"].filter((extra) => existsSync(join(folder, extra))).concat(file)
    .map((part) => readFileSync(join(folder, part), "utf8")).join("\n\n");
  writeFileSync(join(target, "licences", `${name.replace("/", "__")}.txt`), text);
}

// Some packages in the bundles are dependencies of ours: their licences travel too.
const packages = readdirSync(modules).flatMap((name) =>
  name.startsWith("@") ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name])
  .filter((name) => !name.startsWith(".") && !name.includes("esbuild") && existsSync(join(modules, name, "package.json")));

mkdirSync(join(target, "fonts"), { recursive: true });
mkdirSync(join(target, "licences"), { recursive: true });
await bundle("codemirror.entry.js", "codemirror.js");
await bundle("echarts.entry.js", "echarts.js");
sprite();
copyFileSync(join(modules, "htmx.org/dist/htmx.min.js"), join(target, "htmx.min.js"));
for (const [name, file] of [["inter", "inter-latin-wght-normal"], ["jetbrains-mono", "jetbrains-mono-latin-wght-normal"]])
  copyFileSync(join(modules, `@fontsource-variable/${name}/files/${file}.woff2`), join(target, `fonts/${file}.woff2`));
packages.forEach(licence);

for (const file of ["htmx.min.js", "codemirror.js", "echarts.js", "icons.svg",
  "fonts/inter-latin-wght-normal.woff2", "fonts/jetbrains-mono-latin-wght-normal.woff2"])
  console.log(file, createHash("sha256").update(readFileSync(join(target, file))).digest("hex"));
for (const name of packages) console.log(name, manifest(name).version, manifest(name).license);
