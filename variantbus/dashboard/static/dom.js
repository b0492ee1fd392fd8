// Elements by function calls. Text is always inserted as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes, `on…` handlers, and children that are nodes, texts, or lists of them. */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Show a message in a corner of the page for some seconds. */
export function say(text, isError = false) {
  const said = document.getElementById("said");
  if (said.children.length > 2) said.firstChild.remove();
  const line = h("p", { class: isError ? "error" : "" }, text);
  said.append(line);
  setTimeout(() => line.remove(), isError ? 10_000 : 4_000);
}

/** Return a number of bytes as text. */
export function sizeText(size) {
  if (size < 1000) return `${size} B`;
  return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** Return what a result is called: by the program that made it, else by its type. */
export function fileName(result) {
  return result.name ?? result.media_type;
}

/** Return a number with three digits. */
export function numberText(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "";
  return Math.abs(number) >= 1000 ? number.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(number.toPrecision(3)));
}

/** Return a probability as text, and never as a certainty, as it is counted in a sample. */
export function percent(share) {
  if (share === null || share === undefined) return "";
  if (share < 0.005) return "<1 %";
  if (share > 0.995) return ">99 %";
  return `${Math.round(100 * share)} %`;
}

/** Return a duration as text. */
export function durationText(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.round((seconds % 86400) / 3600)} h`;
}

/** Draw stars. */
export function stars(count) {
  return h("span", { class: "stars", role: "img", "aria-label": `${count} of 5 stars` }, "★".repeat(count) + "☆".repeat(5 - count));
}
