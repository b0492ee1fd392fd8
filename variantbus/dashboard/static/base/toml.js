// TOML, as much of it as settings need.

/** Return a table as TOML: its plain values first, then its tables; what is null has no word in TOML and is left out. */
export function toToml(table) {
  const given = Object.entries(table).filter(([, value]) => value !== null && value !== undefined);
  const plain = given.filter(([, value]) => !isTable(value)).map(([name, value]) => `${keyText(name)} = ${written(value)}\n`);
  const tables = given.filter(([, value]) => isTable(value)).map(([name, value]) => `\n[${keyText(name)}]\n${body(value)}`);
  return [...plain, ...tables].join("");
}

function body(table) {
  return Object.entries(table)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${keyText(name)} = ${written(value)}\n`)
    .join("");
}

function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (isTable(value)) return `{${Object.entries(value).map(([name, part]) => ` ${keyText(name)} = ${written(part)}`).join(",")} }`;
  if (typeof value === "string") return JSON.stringify(value).replaceAll("\u007f", "\\u007f"); // a basic string has the escapes of JSON
  return String(value);
}

function keyText(name) {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name);
}

function isTable(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
