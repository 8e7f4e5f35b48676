// What the server tells by itself: the state of every station, and the members of today.

import { redraw } from "./screen.js";
import { Problem, askSession } from "./server.js";

const PAUSE_MS = 2000;

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

/** Listen to the server from now on, again and again after it was lost. */
export function connect() {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => {
    live.lostSince = null;
    redraw();
  });
  source.addEventListener("station", (event) => {
    const station = JSON.parse(event.data);
    live.stations.set(station.name, station);
    told("station");
  });
  source.addEventListener("members", (event) => {
    live.members = JSON.parse(event.data);
    told("members");
  });
  // The browser's own way back differs from one browser to the next, and never tells that the session has ended.
  source.addEventListener("error", () => {
    source.close();
    live.lostSince ??= new Date();
    redraw();
    setTimeout(comeBack, PAUSE_MS);
  });
}

async function comeBack() {
  try {
    await askSession();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status !== 401) setTimeout(comeBack, PAUSE_MS);
    return;
  }
  connect();
}

function told(name) {
  for (const listener of listeners) listener(name);
  redraw();
}
