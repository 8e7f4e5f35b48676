"use strict";

const { Analytics } = require("@segment/analytics-node");
const { KINDS, sendEvents } = require("./sending.cjs");

const FLUSH_MS = 300_000;

function open({ url, key }) {
  const analytics = new Analytics({ writeKey: key, host: url, flushInterval: 200 });
  analytics.on("error", ({ reason }) => console.error(reason));
  return {
    send: ({ method, nonce, name, ...event }) =>
      new Promise((resolve) => {
        const named = method === "track" ? { event: name } : { name };
        analytics[method]({ ...named, ...event }, (_, context) => resolve({ message_id: context.event.messageId }));
      }),
    close: () => analytics.closeAndFlush({ timeout: FLUSH_MS }),
  };
}

// The SDK refuses numbers as ids.
sendEvents(
  KINDS.filter((kind) => kind !== "identifyNumber"),
  open,
);
