// Requests to the own site: JSON in, JSON out, the CSRF token from its cookie at each request (it changes
// when someone signs in again in another tab).

export class Unreachable extends Error {}
export class SignedOut extends Error {}
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

function csrfToken() {
  const found = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return found ? decodeURIComponent(found[1]) : "";
}

export async function post(url, body = {}, { keepalive = false } = {}) {
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      credentials: "same-origin",
      redirect: "manual",
      keepalive,
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() },
      body: JSON.stringify(body),
    });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (answer.type === "opaqueredirect" || answer.status === 401) throw new SignedOut();
  if (answer.status >= 500 || answer.status === 429) throw new Unreachable(`status ${answer.status}`);
  const isJson = (answer.headers.get("Content-Type") || "").includes("application/json");
  const document_ = isJson ? await answer.json() : {};
  if (!answer.ok) {
    // A plain 403 is a token from before a sign-in elsewhere: the answer is kept and sent again.
    if (answer.status === 403 && !isJson) throw new SignedOut();
    throw new Refused(document_.error || `The server answered ${answer.status}.`, answer.status);
  }
  return document_;
}

export function newKey() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
