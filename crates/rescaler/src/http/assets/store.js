// Values that the browser stores. Where it stores none (blocked or full), they last until the page is closed.

const values = new Map();

/** The value of a key, or null. `storage` is "localStorage" or "sessionStorage". */
export function get(storage, key) {
  try {
    return window[storage].getItem(key) ?? values.get(key) ?? null;
  } catch {
    return values.get(key) ?? null;
  }
}

/** Sets the value of a key; null removes it. */
export function put(storage, key, value) {
  if (value === null) values.delete(key);
  else values.set(key, value);
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    // Blocked or full.
  }
}
