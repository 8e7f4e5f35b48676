"use strict";

const { setTimeout: pause } = require("node:timers/promises");
const { jitsuAnalytics } = require("@jitsu/js");
const { sendEvents } = require("./sending.cjs");

const RETRY_MS = 500;

/** The application's `fetch`, because the SDK itself retries nothing. */
async function fetchWithRetries(url, options) {
  for (;;) {
    try {
      const response = await fetch(url, options);
      if (response.status < 500 && response.status !== 429) {
        return response;
      }
      await response.body?.cancel();
    } catch (error) {
      console.error(error.message);
    }
    await pause(RETRY_MS);
  }
}

function open({ url, key, run }) {
  const analytics = jitsuAnalytics({ host: url, writeKey: key, fetch: fetchWithRetries });
  analytics.setAnonymousId(`${run}-visitor`);
  const call = {
    identify: ({ userId, traits }) => analytics.identify(userId, traits),
    track: ({ name, userId, properties }) => analytics.track(name, properties, { userId }),
    page: ({ name, properties }) => analytics.page(name, properties),
    group: ({ groupId, userId, traits }) => analytics.group(groupId, traits, { userId }),
  };
  const deliveries = [];
  return {
    send: async (event) => {
      const delivery = call[event.method](event);
      deliveries.push(delivery);
      const answer = await delivery;
      const { messageId, userId } = answer.payload ?? answer;
      // It adds the user whom it identified last to every event.
      return { message_id: messageId, member_id: userId };
    },
    close: () => Promise.all(deliveries),
  };
}

sendEvents(["identify", "identifyNumber", "track", "page", "group"], open);
