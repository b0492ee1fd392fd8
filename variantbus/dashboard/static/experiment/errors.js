// Which field a refusal of the learning service is about, and what it says there in words of the form.

const AXIS = /^variable(?:s(?: #(\d+)|\[(\d+)\]))?(?=[.:])/;
const ITEM = /^\.values(?: #(\d+)|\[(\d+)\])/;
const BLOCK = /^blocks(?: #(\d+)|\[(\d+)\])/;
const FIELDS = {
  name: "name", pipeline: "pipeline", stage: "stage", jobs_per_variant: "jobs", seed: "seed", sample: "sample", skip: "skip",
  objective: "metric", goal: "goal", within: "within", score: "scorers", budget: "budget", stop_p_best: "stop",
};
// what the service says to the author of a file, and what it means in a form
const WORDS = [
  [/^missing; add it$/, "This is needed; fill it in."],
  [/^missing; add it, or write \{\{(.+)\}\} in \w+ for the text .*$/s, "The command has {$1} in it: give it a value, or let it vary."],
  [/^missing; (.+) has no effect without it$/, "$1 has no effect without this; give it a value."],
  [/^empty; give at least one value$/, "Give at least one value."],
  [/^is the variable already; remove it from (config|the block)$/, "This varies already; leave it empty here."],
  [/^every value of (.+) sets it; remove it from config$/, "Every value of $1 sets it; leave it empty here."],
  [/^(.+) is there twice; (remove one|give each another name)$/, "$1 is there twice; $2."],
  [/^must be 1 where the seed itself is the variable$/, "Where the seed varies, each value has one picture."],
  [/; take fewer, or raise --max-variants of the learning service$/, "; take fewer."],
];

/**
 * Return what a refusal is about: `{ field, item, text }`; `item` is the place of a value, from 0 on, if it names one.
 * `field` is null if there is none in the form.
 */
export function problemOf(message, { axes, config, objective }) {
  const rest = message.replace(/^definition\.(?=\w)/, "");
  return ofAxis(rest, axes) ?? ofConfig(rest, config) ?? ofBlock(rest) ?? ofTop(rest, objective) ?? { field: null, text: sentence(message) };
}

function ofAxis(message, axes) {
  const found = message.match(AXIS);
  if (!found) return null;
  const place = found[1] ? Number(found[1]) - 1 : Number(found[2] ?? 0);
  const axis = axes[place];
  if (!axis) return null;
  const rest = message.slice(found[0].length);
  const [path, text] = halves(rest);
  const item = rest.match(ITEM);
  const isValues = /^\.(values|start|stop|step|settings)/.test(path) || axis.form === "presets";
  const part = isValues ? "values" : path.startsWith(".replace") || (path === "" && axis.form === "part") ? "part" : "name";
  const number = item && axis.form !== "presets" ? Number(item[1] ?? Number(item[2]) + 1) - 1 : undefined;
  const about = /^\.(start|stop|step)/.exec(path);
  return { field: `axis ${axis.key} ${part}`, ...(number === undefined ? {} : { item: number }), text: sentence(`${about ? `${about[1]}: ` : ""}${inWords(text)}`) };
}

function ofConfig(message, config) {
  if (!message.startsWith("config.")) return null;
  const rest = message.slice("config.".length);
  const names = config.filter((name) => [":", ".", " "].includes(rest[name.length]) && rest.startsWith(name)).sort((one, other) => other.length - one.length);
  const name = names[0] ?? halves(rest)[0];
  const [inside, text] = halves(rest.slice(name.length));
  return { field: name === "prompt" ? "prompt 0" : `config ${name}`, text: sentence(inside.trim() ? `${inside.replace(/^\./, "").trim()}: ${inWords(text)}` : inWords(text)) };
}

function ofBlock(message) {
  const found = message.match(BLOCK);
  if (!found) return null;
  const place = found[1] ? Number(found[1]) - 1 : Number(found[2]);
  return { field: `prompt ${place}`, text: sentence(inWords(halves(message.slice(found[0].length))[1])) };
}

function ofTop(message, objective) {
  const [path, text] = halves(message);
  const option = path.match(/^score\.options\.([^.]+)\.([^.]+)$/);
  if (option) return { field: `score ${option[1]} ${option[2]}`, text: sentence(inWords(text)) };
  const head = path.match(/^[a-z_]+/)?.[0];
  if (!head || !(head in FIELDS)) return null;
  const field = head === "objective" && objective !== "metric" ? "objective" : FIELDS[head];
  const place = path.slice(head.length).trim();
  return { field, text: sentence(head === "skip" && place ? `${place.replace(/^#(\d+)\.?/, "line $1, ")}: ${inWords(text)}`.replace(", :", ":") : inWords(text)) };
}

/** Return what is before the first ": ", and what is behind it. */
function halves(text) {
  const at = text.indexOf(": ");
  return at < 0 ? ["", text] : [text.slice(0, at), text.slice(at + 2)];
}

function inWords(text) {
  return WORDS.reduce((said, [pattern, words]) => said.replace(pattern, words), text);
}

function sentence(text) {
  return `${capital(text)}${/[.?!]$/.test(text) ? "" : "."}`;
}

function capital(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}
