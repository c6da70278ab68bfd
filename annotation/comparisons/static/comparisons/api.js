// Requests to the own site: JSON in, JSON out, the CSRF token from its cookie at each request (it changes
// when someone signs in again in another tab).

export class Unreachable extends Error {}
// Nobody is signed in, or somebody else is: `message` says who, where the server does.
export class SignedOut extends Error {}
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

const PATIENCE_MS = 30_000;
let person = "";
let heard = () => {};

// Requests are those of this person, whoever has signed in since; `answered` hears of each that was taken.
export function actAs(user, answered) {
  person = user;
  heard = answered;
}

function csrfToken() {
  const found = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/);
  return found ? decodeURIComponent(found[1]) : "";
}

export async function post(url, body = {}, { keepalive = false } = {}) {
  const answer = await asked(url, body, { keepalive, signal: AbortSignal.timeout?.(PATIENCE_MS) });
  return taken(answer);
}

// The same for an answer that comes in lines of JSON: each goes to `told`, and the last one is returned. An
// answer that is silent for long, or breaks off, is none.
export async function stream(url, body, told) {
  const patience = new AbortController();
  let timer = 0;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  };
  wait();
  try {
    const answer = await asked(url, body, { signal: patience.signal });
    const inLines = answer.ok && (answer.headers.get("Content-Type") || "").includes("ndjson");
    return inLines ? await lines(answer.body, told, wait) : await taken(answer);
  } finally {
    clearTimeout(timer);
  }
}

async function lines(body, told, wait) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = {};
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      wait();
      const whole = (rest + value).split("\n");
      rest = whole.pop();
      for (const line of whole) told((last = JSON.parse(line)));
    }
  } catch (error) {
    throw new Unreachable(String(error));
  }
  heard();
  return last;
}

async function asked(url, body, options) {
  try {
    return await fetch(url, {
      method: "POST",
      credentials: "same-origin",
      redirect: "manual",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken(), "X-Person": person },
      body: JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    throw new Unreachable(String(error));
  }
}

async function taken(answer) {
  if (answer.type === "opaqueredirect") throw new SignedOut();
  if (answer.status >= 500 || answer.status === 429) throw new Unreachable(`status ${answer.status}`);
  const isJson = (answer.headers.get("Content-Type") || "").includes("application/json");
  const document_ = isJson ? await parsed(answer) : {};
  if (answer.status === 401) throw new SignedOut(document_.somebody_else || "");
  if (!answer.ok) {
    // A plain 403 is a token from before a sign-in elsewhere: the answer is kept and sent again.
    if (answer.status === 403 && !isJson) throw new SignedOut();
    throw new Refused(document_.error || `The server answered ${answer.status}.`, answer.status);
  }
  heard();
  return document_;
}

// An answer that was cut off on its way is no answer.
async function parsed(answer) {
  try {
    return await answer.json();
  } catch (error) {
    throw new Unreachable(String(error));
  }
}

export function newKey() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
