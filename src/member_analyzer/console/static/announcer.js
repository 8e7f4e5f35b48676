// Tells screen readers the number of members, at most once in a while.

import { live } from "./events.js";
import { countOf, rate } from "./numbers.js";

const PAUSE_MS = 10_000;

let lastTotal = null;
let timer = null;

/** Note that there are new numbers; they are told in `place` when the pause is over. */
export function announce(place) {
  const total = live.members?.total;
  if (total === undefined || total === lastTotal || timer) return;
  if (lastTotal === null) {
    lastTotal = total;
    return;
  }
  timer = setTimeout(() => {
    timer = null;
    lastTotal = live.members.total;
    place.textContent = `${countOf(lastTotal, "member")}, ${rate(live.members.rate)} a second.`;
  }, PAUSE_MS);
}
