// A worker that all pages of this console share in one browser: one connection for the events of all of them.
//
// A browser opens six connections to a host at most, so that with one for each page the seventh page would never load.

import { EventFeed } from "./event_feed.js";

const ports = new Set();
/** The newest of each event, for pages that are opened later. */
const newest = new Map();

const feed = new EventFeed((message) => {
  if (message.kind === "station") newest.set(`station ${JSON.parse(message.data).name}`, message);
  else if (message.kind === "members") newest.set("members", message);
  else newest.set("connection", message);
  if (message.kind === "ended") newest.clear();
  for (const port of ports) port.postMessage(message);
});

self.addEventListener("connect", ({ ports: [port] }) => {
  ports.add(port);
  port.addEventListener("message", ({ data }) => {
    if (data !== "close") return;
    ports.delete(port);
    if (ports.size) return;
    feed.stop();
    newest.clear();
  });
  port.start();
  for (const message of newest.values()) port.postMessage(message);
  feed.start();
});
