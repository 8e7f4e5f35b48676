// Formatting of dates and times, in the time zone of the browser.

import { html } from "./vendor/lit-html/lit-html.js";
import { NONE } from "./numbers.js";

const timeOnly = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dateAndTime = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const full = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });
const dateOnly = new Intl.DateTimeFormat("en", {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC",
});

/** "17:03:12" if it is today, otherwise with the date. */
export function formatTime(value) {
  const date = new Date(value);
  return (date.toDateString() === new Date().toDateString() ? timeOnly : dateAndTime).format(date);
}

/** A `<time>` element for a Date or ISO text. */
export function timestamp(value) {
  if (!value) return NONE;
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return String(value);
  return html`<time datetime=${date.toISOString()} title=${full.format(date)}>${formatTime(date)}</time>`;
}

/** "Saturday, November 21, 2026" for "2026-11-21" */
export function formatDay(day) {
  return dateOnly.format(new Date(`${day}T00:00:00Z`));
}

/** "3 min 12 s" */
export function duration(from, to) {
  if (!from || !to) return NONE;
  const seconds = Math.max(0, (new Date(to) - new Date(from)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.round(seconds)} s`;
}
