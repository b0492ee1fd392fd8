// Light, dark, or as the system says; kept for the next visit.

const KEY = "theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const SCHEMES = { system: "light dark", light: "light", dark: "dark" };

/** Return what is chosen: `system`, `light` or `dark`. */
export function theme() {
  const kept = localStorage.getItem(KEY);
  return NEXT[kept] ? kept : "system";
}

/** Take the next one. */
export function turnTheme() {
  localStorage.setItem(KEY, NEXT[theme()]);
  applyTheme();
}

/** Let the page have the colours that are chosen. */
export function applyTheme() {
  document.documentElement.style.colorScheme = SCHEMES[theme()];
}
