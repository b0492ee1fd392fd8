// Templates: the one way in which elements are made here. Text in a template is always inserted as text.

export { html, svg, render, nothing } from "../vendor/lit-html/lit-html.js";
export { repeat } from "../vendor/lit-html/directives/repeat.js"; // a list whose elements keep their place and focus
export { keyed } from "../vendor/lit-html/directives/keyed.js"; // a new element for each key
export { live } from "../vendor/lit-html/directives/live.js"; // compares with what the element has, as people type into it
export { ref, createRef } from "../vendor/lit-html/directives/ref.js"; // the element of a template
export { classMap } from "../vendor/lit-html/directives/class-map.js";
