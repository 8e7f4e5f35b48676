// Numbers as people read them.

const whole = new Intl.NumberFormat("en");
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const NONE = "–";

export function count(number) {
  return number === null || number === undefined ? NONE : whole.format(number);
}

/** "1 member", "5,000 members" */
export function countOf(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function percent(part, all) {
  if (!all) return NONE;
  const share = (100 * part) / all;
  return share > 0 && share < 0.05 ? "<0.1 %" : `${share.toFixed(1)} %`;
}

/** How many in a second, without the unit. */
export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number >= 100 ? whole.format(Math.round(number)) : oneDigit.format(number);
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  let unit = 0;
  let left = number;
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit ? oneDigit.format(left) : whole.format(left)} ${UNITS[unit]}`;
}
