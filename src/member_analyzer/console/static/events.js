// Live data pushed by the server: the status of every component, and the member counts of the newest day.

import { EventFeed } from "./event_feed.js";
import { redraw } from "./renderer.js";
import { goToLogin } from "./server.js";

export const live = {
  /** name -> component, in the order of the data flow */
  components: new Map(),
  members: null,
  /** When the connection to the console was lost; null while it is up. */
  disconnectedSince: null,
};

const listeners = new Set();

/** Add a function that is called after every event, with its name. */
export function listen(listener) {
  listeners.add(listener);
}

/** Open the connection, shared by all pages of the browser where it supports that. */
export function connect() {
  if (typeof SharedWorker === "undefined") {
    new EventFeed(receive).start();
    return;
  }
  const worker = new SharedWorker(new URL("./shared_events.js", import.meta.url), { type: "module" });
  worker.addEventListener("error", () => new EventFeed(receive).start(), { once: true });
  worker.port.addEventListener("message", ({ data }) => receive(data));
  worker.port.start();
  window.addEventListener("pagehide", () => worker.port.postMessage("close"));
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
}

function receive({ kind, data }) {
  if (kind === "component") {
    const component = JSON.parse(data);
    live.components.set(component.name, component);
    notify(kind);
  } else if (kind === "members") {
    live.members = JSON.parse(data);
    notify(kind);
  } else if (kind === "expired") {
    goToLogin();
  } else {
    live.disconnectedSince = kind === "open" ? null : (live.disconnectedSince ?? new Date());
    redraw();
  }
}

function notify(name) {
  for (const listener of listeners) listener(name);
  redraw();
}
