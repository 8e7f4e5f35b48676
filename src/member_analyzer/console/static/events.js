// What the server tells by itself: the state of every station, and the members of today.

import { EventFeed } from "./event_feed.js";
import { redraw } from "./screen.js";
import { goToLogin } from "./server.js";

export const live = {
  /** name -> station, in the order of the path */
  stations: new Map(),
  members: null,
  /** Since when the console itself is out of reach; null while it is heard. */
  lostSince: null,
};

const listeners = new Set();

/** Call a function after every event, with its name. */
export function listen(listener) {
  listeners.add(listener);
}

/** Listen to the server from now on, over one connection for all pages where the browser can share it. */
export function connect() {
  if (typeof SharedWorker === "undefined") {
    new EventFeed(take).start();
    return;
  }
  const worker = new SharedWorker(new URL("./shared_events.js", import.meta.url), { type: "module" });
  worker.addEventListener("error", () => new EventFeed(take).start(), { once: true });
  worker.port.addEventListener("message", ({ data }) => take(data));
  worker.port.start();
  window.addEventListener("pagehide", () => worker.port.postMessage("close"));
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
}

function take({ kind, data }) {
  if (kind === "station") {
    const station = JSON.parse(data);
    live.stations.set(station.name, station);
    told(kind);
  } else if (kind === "members") {
    live.members = JSON.parse(data);
    told(kind);
  } else if (kind === "ended") {
    goToLogin();
  } else {
    live.lostSince = kind === "open" ? null : (live.lostSince ?? new Date());
    redraw();
  }
}

function told(name) {
  for (const listener of listeners) listener(name);
  redraw();
}
