// Server-sent events with reconnection.

const RETRY_MS = 2000;
const EVENTS = ["component", "members"];

export class EventFeed {
  #onEvent;
  #source = null;
  #isStopped = true;

  /** `onEvent` gets {kind, data}: `open`, `lost`, `expired` (the session), or the name of an event with its JSON text. */
  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  start() {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#connect();
  }

  stop() {
    this.#isStopped = true;
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    const source = (this.#source = new EventSource("/api/events"));
    source.addEventListener("open", () => this.#onEvent({ kind: "open" }));
    for (const kind of EVENTS) source.addEventListener(kind, ({ data }) => this.#onEvent({ kind, data }));
    // The built-in reconnection differs between browsers, and does not report that the session has expired.
    source.addEventListener("error", () => {
      source.close();
      if (this.#source !== source) return;
      this.#onEvent({ kind: "lost" });
      setTimeout(() => this.#reconnect(), RETRY_MS);
    });
  }

  async #reconnect() {
    if (this.#isStopped) return;
    const status = await fetch("/api/session").then(
      (response) => response.status,
      () => 0,
    );
    if (this.#isStopped) return;
    if (status === 200) {
      this.#connect();
    } else if (status === 401) {
      this.stop();
      this.#onEvent({ kind: "expired" });
    } else {
      setTimeout(() => this.#reconnect(), RETRY_MS);
    }
  }
}
