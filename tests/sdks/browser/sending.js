// The interface of both SDKs for the tests. The page has opened `analytics` before.
"use strict";

let isReady = false;
analytics.ready(() => {
  isReady = true;
});

function send({ kind, nonce, member, values }) {
  const methods = {
    page: () => analytics.page("Cart", values),
    screen: () => analytics.screen("Cart", values),
    track: () => analytics.track("Product Added", values),
    identify: () => analytics.identify(member, values),
    group: () => analytics.group(`${member}-group`, values),
    // It has no properties, so that the previous id carries the nonce.
    alias: () => analytics.alias(member, nonce),
  };
  // Not returned: a page that is offline would wait for the delivery.
  void methods[kind]();
}
