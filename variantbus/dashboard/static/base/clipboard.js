// The clipboard, also where a page without TLS has none of its own.

/** Copy a text; throws an Error with a sentence where the browser does not allow it. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // not allowed: the older way may be
    }
  }
  const field = document.createElement("textarea");
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field); // outside of an open dialog nothing can be selected
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (!isDone) throw new Error("this browser does not let the page copy; select the text and copy it yourself");
}
