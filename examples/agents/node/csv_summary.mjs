// Summarises a table: the prompt is CSV with a header line. Publishes summary.md and summary.json.
// Instead of a prompt, an initial state {"csv": "..."}.
import fs from "node:fs";
import { AgentError, serve } from "./runledger.mjs";

/** RFC 4180: quoted fields may hold commas, line ends and doubled quotes. */
function parseCsv(text) {
  const rows = [[]];
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;
  for (let match; field.lastIndex < text.length; ) {
    const at = field.lastIndex;
    if (!(match = field.exec(text)))
      throw new AgentError(`not CSV at character ${at}`, { code: "bad_csv" });
    rows.at(-1).push(match[1] !== undefined ? match[1].replaceAll('""', '"') : match[2]);
    if (match[3] !== ",") rows.push([]);
    else if (field.lastIndex === text.length) rows.at(-1).push("");
  }
  return rows.filter((row) => row.length > 1 || (row.length === 1 && row[0] !== ""));
}

function summaryOf(name, values) {
  const filled = values.filter((value) => value !== "");
  const numbers = filled.map(Number);
  if (filled.length === 0 || numbers.some((number) => !Number.isFinite(number)))
    return { name, kind: "text", filled: filled.length, distinct: new Set(filled).size };
  const sum = numbers.reduce((a, b) => a + b, 0);
  const [min, max] = numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);
  const mean = Number((sum / numbers.length).toPrecision(12));
  return { name, kind: "number", filled: filled.length, min, max, sum, mean };
}

function markdown(rows, columns) {
  const cell = (value) => String(value ?? "").replaceAll("|", "\\|");
  const lines = columns.map((c) =>
    `| ${[c.name, c.kind, c.filled, c.min, c.max, c.mean].map(cell).join(" | ")} |`);
  return [`# ${rows} rows, ${columns.length} columns`, "", "| column | kind | filled | min | max | mean |",
    "|---|---|---|---|---|---|", ...lines, ""].join("\n");
}

await serve(async (run) => {
  const csv = run.prompt ?? run.initialState?.csv;
  if (typeof csv !== "string") throw new AgentError("there is no CSV text", { code: "no_input" });
  // One line an execution: shows which steps ran, and how often, whatever was killed when.
  const step = (key, body) => run.step(key, async ({ idempotencyKey, attempt }) => {
    fs.appendFileSync(run.path("effects.log"), `${idempotencyKey} ${attempt}\n`);
    return body();
  });

  const table = await step("parse", async () => {
    const [names, ...rows] = parseCsv(csv);
    const wrong = rows.findIndex((row) => row.length !== names.length);
    if (!rows.length || wrong >= 0)
      throw new AgentError(rows.length ? `row ${wrong + 1} has ${rows[wrong].length} fields, the header`
        + ` ${names.length}` : "there are no rows", { code: "bad_csv" });
    run.writeFile("rows.json", JSON.stringify(rows));
    return { names, rows: rows.length };
  });
  run.checkpoint(table);
  const columns = await step("summarise", async () => {
    const rows = JSON.parse(fs.readFileSync(run.path("rows.json"), "utf8"));
    return table.names.map((name, i) => summaryOf(name, rows.map((row) => row[i])));
  });
  await step("write", async () => {
    run.writeFile("summary.json", JSON.stringify(columns, null, 2) + "\n");
    run.writeFile("summary.md", markdown(table.rows, columns));
  });
  run.artifact("summary.md", { media_type: "text/markdown" });
  run.artifact("summary.json", { media_type: "application/json" });
  run.usage({ tokens_in: table.rows, tokens_out: columns.length, cost_usd: "0.000020", model: "csv" });
  const numeric = columns.filter((column) => column.kind === "number").length;
  run.message(`${table.rows} rows; ${numeric} of ${columns.length} columns are numbers.`);
  return { rows: table.rows, columns };
});
