// The API, as the page calls it.

/** What went wrong, in words for people. */
export class Failure extends Error {}

/** Objects that are less certain are not asked for; the slider chooses among the others. */
export const LEAST_SCORE = 0.1;

/** The model that answers: its name, a summary of it, and its threshold. */
export async function model() {
  const response = await call("v1/models");
  const { models } = await response.json();
  return models[0];
}

/** Everything on a picture, which is `{blob}` or `{url}`: the reply, its steps and how long it took, in milliseconds. */
export async function predict(picture, signal) {
  const begin = performance.now();
  const query = `threshold=${LEAST_SCORE}&masks=polygon`;
  const response = await call(`v1/predict?${query}`, { method: "POST", body: body(picture), signal });
  const reply = await response.json();
  return { reply, steps: steps(response.headers), took: performance.now() - begin };
}

/** The picture at a URL. Pages may not read those of other hosts; the server may, and draws nothing on it. */
export async function fetched(url, signal) {
  const response = await call("v1/predict?threshold=1&masks=none", {
    method: "POST",
    body: body({ url }),
    headers: { Accept: "image/jpeg" },
    signal,
  });
  return response.blob();
}

/** A picture to try out, as `{blob, name}`. */
export async function sample() {
  const response = await call("api/random_image");
  const [, name] = /filename=([^;]+)/.exec(response.headers.get("Content-Disposition")) ?? [];
  return { blob: await response.blob(), name: name ?? "picture.jpg" };
}

function body({ blob, url }) {
  return blob ?? JSON.stringify({ url });
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Is it running, and can it be reached from here?");
  }
  if (!response.ok) throw new Failure(await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  let message = text;
  try {
    ({ message } = JSON.parse(text).error);
  } catch {
    // Not every refusal comes from the server itself: a proxy may stand before it.
    if (!text || text.includes("<")) message = `the server answered ${response.status}`;
  }
  const wait = response.headers.get("Retry-After");
  const busy = response.status === 429 && wait ? ` Try again in ${wait} s.` : "";
  return `${message[0].toUpperCase()}${message.slice(1)}.${busy}`;
}

/** The header Server-Timing as pairs of name and milliseconds. */
function steps(headers) {
  const header = headers.get("Server-Timing") ?? "";
  return [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]);
}
