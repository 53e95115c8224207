/** The server's API as far as this page needs it. A key lives in this tab's session and nowhere else. */

const STORED_KEY = "warmturn.key";
const BUSY = 409;
const NOT_FOUND = 404;
const PATIENCE_MS = 5000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Unreachable extends Error {}

export const WENT_AWAY = "The server went away in the middle of the reply.";

let askForKey = async () => null;
let asking = null;
const underWay = new Set();
const gone = new Map();

/** `ask(wasWrong)` gives the key that a person typed. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export const get = (path) => json("GET", path);
export const post = (path, body) => json("POST", path, body);
export const remove = (path) => json("DELETE", path);

/** As the page goes away: nobody waits for it, or hears of it. */
export function removeAtLast(path) {
  fetched(path, { method: "DELETE", headers: headers(sessionStorage.getItem(STORED_KEY)), keepalive: true }).catch(() => {});
}

/** From now on nothing more is asked about the conversation; what was asked before is answered before it is deleted. */
export function removeConversation(id) {
  if (!gone.has(id)) gone.set(id, removeWhole(id));
  return gone.get(id);
}

export const isGone = (id) => gone.has(id);

/** One turn's events, until it ends or is aborted. */
export async function* turn(body, signal) {
  refuseGone(body.conversation);
  yield* events(await send("POST", "v1/responses", { ...body, stream: true }, signal));
}

async function json(method, path, body) {
  refuseGone(path);
  const answer = send(method, path, body).then((response) => response.json());
  underWay.add(answer);
  try {
    return await answer;
  } finally {
    underWay.delete(answer);
  }
}

/** Somebody else may have deleted it before. */
async function removeWhole(id) {
  await Promise.allSettled(underWay);
  try {
    await send("DELETE", `v1/conversations/${id}`);
  } catch (error) {
    if (error.status === NOT_FOUND) return;
    gone.delete(id);
    throw error;
  }
}

function refuseGone(asked) {
  if ([...gone.keys()].some((id) => asked.includes(id))) throw new ApiError(NOT_FOUND, "This conversation was deleted.");
}

/** A turn just stopped may hold its conversation for another step: wait for it rather than fail. */
async function send(method, path, body, signal) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const key = sessionStorage.getItem(STORED_KEY);
    const response = await fetched(path, { method, headers: headers(key), body: body && JSON.stringify(body), signal });
    if (response.ok) return response;
    if (response.status === 401) {
      if (key === sessionStorage.getItem(STORED_KEY)) await freshKey(key !== null);
    } else if (response.status === BUSY && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    } else throw await apiError(response);
  }
}

async function fetched(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The server does not answer.");
  }
}

function headers(key) {
  const plain = { "Content-Type": "application/json" };
  return key === null ? plain : { ...plain, Authorization: `Bearer ${key}` };
}

/** Several requests may be refused at once; a person is asked once. */
async function freshKey(wasWrong) {
  asking ??= askForKey(wasWrong).finally(() => (asking = null));
  sessionStorage.setItem(STORED_KEY, await asking);
}

async function apiError(response) {
  try {
    return new ApiError(response.status, (await response.json()).error.message);
  } catch {
    return new ApiError(response.status, `The server answered with ${response.status} ${response.statusText}.`);
  }
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read().catch(broken);
    if (done) return;
    const messages = (buffer + value).split("\n\n");
    buffer = messages.pop();
    for (const message of messages) yield* data(message);
  }
}

function broken(error) {
  throw error.name === "AbortError" ? error : new Unreachable(WENT_AWAY);
}

function* data(message) {
  const lines = message.split("\n").filter((line) => line.startsWith("data:"));
  const text = lines.map((line) => line.slice(5).trimStart()).join("\n");
  if (text && text !== "[DONE]") yield JSON.parse(text);
}
