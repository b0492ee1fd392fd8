// Where each entry of the browser's history was scrolled to: Back shows what was seen before, also after a reload.

const KEPT = "places";
const MOST = 100; // entries; older ones begin at their top
const BY_HAND = ["wheel", "touchstart", "pointerdown", "keydown"];

/**
 * Remember how far an element is scrolled, by entries of the history.
 *
 * Call the function that is returned when an entry shows its content: it scrolls back to where the entry was, as soon as
 * the content is as high as that. A new entry begins at the top, or stays where it is with `isSame` content.
 */
export function rememberScroll(scroller) {
  const places = new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"));
  const grown = new ResizeObserver(goThere);
  let entry = "";
  let wanted = null; // where to, until the content is high enough

  scroller.addEventListener("scroll", () => wanted === null && note(), { passive: true });
  for (const kind of BY_HAND) scroller.addEventListener(kind, () => (wanted = null), { passive: true, capture: true });
  addEventListener("pagehide", () => sessionStorage.setItem(KEPT, JSON.stringify([...places].slice(-MOST))));

  function note() {
    places.delete(entry); // the newest ones are the last
    places.set(entry, scroller.scrollTop);
  }

  function goThere() {
    if (wanted === null) return;
    scroller.scrollTop = wanted;
    if (Math.abs(scroller.scrollTop - wanted) < 2) wanted = null;
  }

  return (content, isSame = false) => {
    entry = entryOfHistory();
    wanted = places.get(entry) ?? (isSame ? scroller.scrollTop : 0);
    grown.disconnect();
    grown.observe(content);
    goThere();
  };
}

function entryOfHistory() {
  const known = history.state?.entry;
  if (known) return known;
  const entry = crypto.randomUUID?.() ?? String(Math.random()); // the former only where the connection is secure
  history.replaceState({ ...history.state, entry }, "");
  return entry;
}
