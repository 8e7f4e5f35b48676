// Announces the number of members to screen readers, at a limited rate.

import { live } from "./events.js";
import { countOf, rate } from "./numbers.js";

const INTERVAL_MS = 10_000;

let lastTotal = null;
let timer = null;

/** Schedule an announcement in a live region if the total has changed. */
export function announce(region) {
  const total = live.members?.total;
  if (total === undefined || total === lastTotal || timer) return;
  if (lastTotal === null) {
    lastTotal = total;
    return;
  }
  timer = setTimeout(() => {
    timer = null;
    lastTotal = live.members.total;
    region.textContent = `${countOf(lastTotal, "member")}, ${rate(live.members.rate)} per second.`;
  }, INTERVAL_MS);
}
