// The server's events over one connection, which is opened again after it was lost.

const PAUSE_MS = 2000;
const EVENTS = ["station", "members"];

export class EventFeed {
  #tell;
  #source = null;
  #isStopped = true;

  /** `tell` is called with {kind, data}: open, lost, ended (there is no session any more), or an event and its text. */
  constructor(tell) {
    this.#tell = tell;
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
    source.addEventListener("open", () => this.#tell({ kind: "open" }));
    for (const kind of EVENTS) source.addEventListener(kind, ({ data }) => this.#tell({ kind, data }));
    // The browser's own reconnection differs from one browser to the next, and never reports that the session has ended.
    source.addEventListener("error", () => {
      source.close();
      if (this.#source !== source) return;
      this.#tell({ kind: "lost" });
      setTimeout(() => this.#reconnect(), PAUSE_MS);
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
      this.#tell({ kind: "ended" });
    } else {
      setTimeout(() => this.#reconnect(), PAUSE_MS);
    }
  }
}
