// The pictures of the open experiment in the order of its plan, kept ready: an event costs only the variant that it is about.

/** Return an index; `touch` says that a variant has changed, `touchAll` that everything may have. */
export function pictureIndex(id) {
  const lists = new Map(); // variant -> its pictures
  const shuffles = new Map(); // hash of a picture -> its place in a shuffled order
  let all = null; // of all variants, until one has changed
  let order = null; // the repeats in the order in which they were asked for

  function touch(index) {
    lists.delete(index);
    all = null;
  }

  function touchAll() {
    lists.clear();
    all = null;
  }

  /** Return all pictures; the same array until a variant is touched. */
  function take(variants, cells, repeats) {
    if (order !== repeats) touchAll();
    order = repeats;
    all ??= [...variants.values()].flatMap((variant) => listOf(variant, cells));
    return all;
  }

  function listOf(variant, cells) {
    const known = lists.get(variant.variant_index);
    if (known) return known;
    const found = [];
    const seen = new Set();
    for (const repeat of order) {
      for (const image of cells.get(`${variant.variant_index}.${repeat}`)?.images ?? []) {
        if (!seen.has(image.sha256)) found.push({ sha256: image.sha256, image, variant, repeat, shuffle: shuffleOf(image.sha256) });
        seen.add(image.sha256);
      }
    }
    lists.set(variant.variant_index, found);
    return found;
  }

  function shuffleOf(sha256) {
    if (!shuffles.has(sha256)) shuffles.set(sha256, hash(id + sha256));
    return shuffles.get(sha256);
  }

  return { touch, touchAll, take };
}

/** Return a pseudo-random number, the same for the same text. */
function hash(text) {
  let sum = 2166136261;
  for (const letter of text) sum = Math.imul(sum ^ letter.codePointAt(0), 16777619);
  return sum >>> 0;
}
