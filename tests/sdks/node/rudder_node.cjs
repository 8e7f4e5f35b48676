"use strict";

const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
const { KINDS, sendEvents } = require("./sending.cjs");

const RETRY_MS = 500;
const RETRIES = 600;

function open({ url, key }) {
  const analytics = new RudderAnalytics(key, {
    dataPlaneUrl: url,
    flushInterval: 200,
    logLevel: "none",
    // By default it gives a batch up after three retries within two seconds.
    retryCount: RETRIES,
    axiosRetryConfig: { retryDelay: () => RETRY_MS },
    // Without a handler, a batch that is given up ends the program with an unhandled rejection.
    errorHandler: (error) => console.error(error.message),
  });
  return {
    send: ({ method, nonce, name, ...event }) => {
      analytics[method]({ ...(method === "track" ? { event: name } : { name }), ...event });
    },
    close: async () => {
      // A flush sends one batch, and does not wait for the one before it if none is left.
      while (analytics.queue.length > 0) {
        await analytics.flush();
      }
      await analytics.pendingFlush;
    },
  };
}

sendEvents(KINDS, open);
