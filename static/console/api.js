// The REST API as the signed-in person: session cookie, CSRF header, problems as exceptions.

/** A refusal by the API: `document` holds the members of the RFC 9457 problem. */
export class Problem extends Error {
  constructor(document_) {
    super(document_.detail ?? document_.title ?? "The request failed");
    this.document = document_;
  }
}

const token = () => document.documentElement.dataset.csrf;

async function problemOf(response) {
  const fallback = {
    title: response.status >= 500 ? "Upend failed to answer" : "The request was refused",
    detail: `The server answered ${response.status}.`,
    hint: response.status === 401 ? "Sign in again, then repeat what you did." : "",
    request_id: response.headers.get("X-Request-Id") ?? "",
  };
  try {
    return { ...fallback, ...(await response.json()) };
  } catch {
    return fallback;
  }
}

/** Send one request; return the decoded JSON, or throw `Problem`. */
export async function call(method, url, { json, body, headers = {} } = {}) {
  const options = { method, credentials: "same-origin", headers: { Accept: "application/json", ...headers } };
  if (method !== "GET") options.headers["X-CSRFToken"] = token();
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  } else if (body !== undefined) options.body = body;
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Problem({
      title: "Upend cannot be reached",
      detail: "The connection to the server broke. A query that was submitted goes on without you.",
      hint: "Check that the server runs, then try again.",
      unreachable: true,
    });
  }
  if (!response.ok) throw new Problem(await problemOf(response));
  return response.status === 204 ? null : response.json();
}
