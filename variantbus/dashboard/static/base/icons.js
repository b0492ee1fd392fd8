// Icons, drawn by lines of the text's colour on a square of 24. Each stands beside a word, or in a button with a label.

import { html, svg } from "./html.js";

const PATHS = {
  archive: "M3 5h18v4H3zM5 9v10h14V9M10 13h4",
  check: "M4 12l5 5L20 6",
  clock: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5l3 3",
  close: "M5 5l14 14M19 5L5 19",
  columns: "M6 4v16M12 4v16M18 4v16",
  compare: "M12 3v18M3 6h6v12H3zM15 6h6v12h-6z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  dark: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z",
  down: "M6 9l6 6l6-6",
  download: "M12 3v12M7 11l5 5l5-5M4 21h16",
  edit: "M4 20l1-5L16 4l4 4L9 19z",
  half: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 3v18M12 7l6 0M12 11l8 0M12 15l7 0",
  first: "M6 4h12M12 20V8M7 13l5-5l5 5",
  eye: "M2 12c3-6 7-8 10-8s7 2 10 8c-3 6-7 8-10 8s-7-2-10-8M12 9a3 3 0 1 0 0 6a3 3 0 0 0 0-6",
  fit: "M3 5v14M21 5v14M7 12h10M10 9l-3 3l3 3M14 9l3 3l-3 3",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  grid: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  hidden: "M2 12c3-6 7-8 10-8s7 2 10 8c-3 6-7 8-10 8s-7-2-10-8M3 21L21 3",
  image: "M3 4h18v16H3zM3 17l5-6l4 4l3-3l6 5M16 8v.1",
  list: "M9 6h12M9 12h12M9 18h12M4 6v.1M4 12v.1M4 18v.1",
  left: "M15 6l-6 6l6 6",
  light: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M19 5l-1 1M6 18l-1 1",
  more: "M5 12v.1M12 12v.1M19 12v.1",
  palette: "M12 3a9 9 0 1 0 0 18c2 0 2-2 1-3s0-3 2-3h3a3 3 0 0 0 3-3c0-5-4-9-9-9M7 12v.1M10 7.5v.1M15 7.5v.1",
  pause: "M8 5v14M16 5v14",
  play: "M7 4l13 8l-13 8z",
  plus: "M12 4v16M4 12h16",
  retry: "M20 5v5h-5M20 10a8 8 0 1 0 1 5",
  right: "M9 6l6 6l-6 6",
  rows: "M4 6h16M4 12h16M4 18h16",
  search: "M10 4a6 6 0 1 0 0 12a6 6 0 0 0 0-12M15 15l6 6",
  share: "M12 15V3M8 7l4-4l4 4M5 11v10h14V11",
  shrink: "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
  sliders: "M4 6h8M18 6h2M15 4v4M4 12h2M12 12h8M9 10v4M4 18h8M18 18h2M15 16v4",
  star: "M12 3l3 6l6 1l-5 4l2 7l-6-4l-6 4l2-7l-5-4l6-1z",
  stop: "M6 6h12v12H6z",
  swap: "M7 4L3 8l4 4M3 8h14M17 12l4 4l-4 4M21 16H7",
  system: "M3 4h18v12H3zM8 20h8M12 16v4",
  trash: "M4 6h16M9 6V3h6v3M6 6l1 15h10l1-15",
  trophy: "M7 4h10v6a5 5 0 0 1-10 0zM7 6H3c0 4 2 5 4 5M17 6h4c0 4-2 5-4 5M12 15v5M8 20h8",
  undo: "M4 5v5h5M4 10a8 8 0 1 1-1 5",
  up: "M6 15l6-6l6 6",
  warn: "M12 3L2 20h20zM12 10v4M12 17v.1",
};

/** Return an icon; a screen reader does not hear it. */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${svg`<path d=${PATHS[name]} />`}</svg>`;
}
