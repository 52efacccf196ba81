// Following a query to its end: by server-sent events, by asking where those do not come.
import { call } from "upend/api";

const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const PAUSE = 1000; // milliseconds between attempts once a stream broke
const WAIT = { Prefer: "wait=1" };

/** Tell whether nothing will change any more. */
export function isFinal(query) {
  return FINAL.has(query.state);
}

/** Listen to one stream; return the query's end, or null where the stream ended before it did. */
function streamed(address, onStep, signal) {
  return new Promise((resolve) => {
    const source = new EventSource(`${address}/events`);
    const close = (ended) => {
      source.close();
      signal.removeEventListener("abort", abandon);
      resolve(ended);
    };
    const abandon = () => close(null);
    signal.addEventListener("abort", abandon);
    source.addEventListener("progress", (event) => onStep(JSON.parse(event.data)));
    source.addEventListener("end", (event) => close(JSON.parse(event.data)));
    source.addEventListener("error", abandon);
  });
}

/**
 * Follow the query at `address` until it has ended and return it; null once `signal` is aborted.
 * `onStep` hears where it stands, `onSilence` that the server does not answer at present.
 */
export async function follow(address, { onStep, onSilence, signal }) {
  while (!signal.aborted) {
    const ended = await streamed(address, onStep, signal);
    if (signal.aborted) return null;
    if (ended) return ended;
    try {
      const query = await call("GET", address, { headers: WAIT });
      if (isFinal(query)) return query;
      onStep({ state: query.state, attempts: query.attempts, queue: query.queue, ...query.progress });
    } catch (error) {
      if (!error.document?.unreachable && (error.document?.status ?? 0) < 500) throw error;
      onSilence();
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return null;
}
