// Shared worker: one event stream for all pages of the browser.
//
// Browsers open at most six connections per host, so the seventh page with its own stream would never load.

import { EventFeed } from "./event_feed.js";

const ports = new Set();
/** The newest of each event, for pages that are opened later. */
const newest = new Map();

const feed = new EventFeed((message) => {
  if (message.kind === "component") newest.set(`component ${JSON.parse(message.data).name}`, message);
  else if (message.kind === "members") newest.set("members", message);
  else newest.set("connection", message);
  if (message.kind === "expired") newest.clear();
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
