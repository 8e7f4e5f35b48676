// Formatting of numbers.

const integer = new Intl.NumberFormat("en");
const oneDecimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const NONE = "–";

export function count(number) {
  return number === null || number === undefined ? NONE : integer.format(number);
}

/** "1 member", "5,000 members" */
export function countOf(number, singular, plural = `${singular}s`) {
  return `${count(number)} ${number === 1 ? singular : plural}`;
}

export function percent(part, total) {
  if (!total) return NONE;
  const share = (100 * part) / total;
  return share > 0 && share < 0.05 ? "<0.1 %" : `${share.toFixed(1)} %`;
}

/** A rate per second, without the unit. */
export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number >= 100 ? integer.format(Math.round(number)) : oneDecimal.format(number);
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  let unit = 0;
  let value = number;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? oneDecimal.format(value) : integer.format(value)} ${UNITS[unit]}`;
}
