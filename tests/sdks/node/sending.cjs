// A run of a client: its arguments, the events that it sends, and its report on standard output.
"use strict";

const { randomInt } = require("node:crypto");
const { setTimeout: pause } = require("node:timers/promises");

const PAUSE_MS = 20;
// A run whose standard input is never closed ends here.
const MOST_EVENTS = 10_000;

/**
 * Send events of the given kinds in turn, and print them as JSON: `{type, nonce, name, member_id, message_id}` each.
 *
 * Arguments of the program: the collector's URL, the write key, the name of the run, the number of events. If standard
 * input is a pipe, more events follow until it is closed.
 *
 * @param {string[]} kinds - keys of KINDS that the SDK can send.
 * @param {(options: {url: string, key: string, run: string}) => {send: Function, close: Function}} open - opens the
 * SDK's client. `send(event)` gives what the SDK tells of the event it made, or undefined, or a promise of either.
 * `close()` waits until everything is delivered or given up.
 */
async function sendEvents(kinds, open) {
  const [url, key, run, count] = process.argv.slice(2);
  const client = open({ url, key, run });
  let isClosed = false;
  process.stdin.once("end", () => (isClosed = true)).resume();
  const sent = [];
  while (sent.length < Number(count) || (!isClosed && sent.length < MOST_EVENTS)) {
    const event = makeEvent(kinds[sent.length % kinds.length], run, sent.length);
    sent.push({ event, told: client.send(event) });
    await pause(PAUSE_MS);
  }
  await client.close();
  const report = await Promise.all(sent.map(async ({ event, told }) => ({ ...describe(event), ...(await told) })));
  process.stdout.write(JSON.stringify(report));
  process.stdin.destroy();
}

function describe({ method, nonce, name = null, userId }) {
  return { type: method, nonce, name, member_id: userId === undefined ? null : String(userId), message_id: null };
}

/** An event. Its nonce is in its properties or traits; an alias has neither, there it is the previous id. */
function makeEvent(kind, run, index) {
  const nonce = `${run}-${index}`;
  const values = { run, nonce, price: 12.5, tags: ["blå", "\u{1f6d2}"], nested: { is_member: true, visits: 0 } };
  return { nonce, ...KINDS[kind]({ run, nonce, values, anonymousId: `${run}-visitor`, userId: `${run}-member` }) };
}

const KINDS = {
  identify: ({ userId, anonymousId, values }) => ({ method: "identify", userId, anonymousId, traits: values }),
  identifyNumber: ({ values }) => ({ method: "identify", userId: randomInt(1, 2 ** 40), traits: values }),
  track: ({ userId, values }) => ({ method: "track", name: "Product Added", userId, properties: values }),
  page: ({ anonymousId, values }) => ({ method: "page", name: "Cart", anonymousId, properties: values }),
  screen: ({ anonymousId, values }) => ({ method: "screen", name: "Cart", anonymousId, properties: values }),
  group: ({ userId, run, values }) => ({ method: "group", userId, groupId: `${run}-group`, traits: values }),
  alias: ({ userId, nonce }) => ({ method: "alias", userId, previousId: nonce }),
};

module.exports = { KINDS: Object.keys(KINDS), sendEvents };
