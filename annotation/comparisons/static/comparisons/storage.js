// Storage that may be full, forbidden or damaged: then it holds nothing, and says so by returning null or false.

function from(name, key) {
  try {
    return JSON.parse(globalThis[name].getItem(key));
  } catch {
    return null;
  }
}

function into(name, key, value) {
  try {
    if (value === null) globalThis[name].removeItem(key);
    else globalThis[name].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

// What all tabs of this browser share.
export const read = (key) => from("localStorage", key);
export const write = (key, value) => into("localStorage", key, value);

// What this tab keeps over a reload.
export const readHere = (key) => from("sessionStorage", key);
export const writeHere = (key, value) => into("sessionStorage", key, value);

export function keysWith(prefix) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}

// Take away what `prefix` kept longer than `ms` ago, by its `at`.
export function forgetOld(prefix, ms) {
  for (const key of keysWith(prefix)) if (Date.now() - (read(key)?.at || 0) > ms) write(key, null);
}
