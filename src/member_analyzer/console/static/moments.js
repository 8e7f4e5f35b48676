// Points in time as people read them, in their own time zone.

import { html } from "./vendor/lit-html/lit-html.js";
import { NONE } from "./numbers.js";

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayAndClock = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const exact = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });
const wholeDay = new Intl.DateTimeFormat("en", {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC",
});

/** "17:03:12", with the day before it where that is not today. */
export function momentText(moment) {
  const date = new Date(moment);
  return (date.toDateString() === new Date().toDateString() ? clock : dayAndClock).format(date);
}

/** A point in time, from a Date or ISO text. */
export function moment(value) {
  if (!value) return NONE;
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return String(value);
  return html`<time datetime=${date.toISOString()} title=${exact.format(date)}>${momentText(date)}</time>`;
}

/** "Saturday, November 21, 2026" of "2026-11-21" */
export function dayText(day) {
  return wholeDay.format(new Date(`${day}T00:00:00Z`));
}

/** "3 min 12 s" between two points in time. */
export function lasted(from, to) {
  if (!from || !to) return NONE;
  const seconds = Math.max(0, (new Date(to) - new Date(from)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.round(seconds)} s`;
}
