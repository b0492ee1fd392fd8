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

/** Draw stars. */
export function stars(count) {
  return h("span", { class: "stars", role: "img", "aria-label": `${count} of 5 stars` }, "★".repeat(count) + "☆".repeat(5 - count));
}
