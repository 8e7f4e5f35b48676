// The four distributions of one day, and how each is told as a chart, as words and as a table.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { lyingBars, ring, uprightBars, worldMap } from "./charts.js";
import { count, countOf, percent } from "./numbers.js";
import { table } from "./table.js";

const MOST_CITIES = 20;
const AGE_GROUPS = ["0-15", "16-30", "31-45", "46-60", "61+"];

/** `day` is {date, total, tables, buckets}; `areaOf` gives a country's area on the map, null until the map is there. */
export const DISTRIBUTIONS = [
  {
    name: "age",
    title: "Age",
    make: ({ total, tables }) => uprightBars(ages(tables.age), total),
    words: ({ total, tables }) => `${countOf(total, "member")} by age: ${listed(ages(tables.age), total)}.`,
    rows: ({ tables }) => ages(tables.age).map((bar) => ({ bucket: [bar.name], members: bar.members })),
    columns: ["Age"],
  },
  {
    name: "gender",
    title: "Gender",
    make: ({ total, tables }) => ring(named(byName(tables.gender)), total),
    words: ({ total, tables }) => `${countOf(total, "member")} by gender: ${listed(named(byName(tables.gender)), total)}.`,
    rows: ({ tables }) => byName(tables.gender),
    columns: ["Gender"],
  },
  {
    name: "country",
    title: "Country",
    make: ({ total, tables }, areaOf) => worldMap(areas(tables.country, areaOf), total),
    words({ total, tables, buckets }, areaOf) {
      const astray = areaOf ? tables.country.filter((one) => !areaOf(one.bucket[0])) : [];
      const members = astray.reduce((sum, one) => sum + one.members, 0);
      const missing = members
        ? ` ${countOf(members, "member")} of ${countOf(astray.length, "country", "countries")} that the map does not show.`
        : "";
      return `${countOf(buckets.country, "country", "countries")}; most members in ${listed(named(tables.country).slice(0, 3), total)}.${missing}`;
    },
    rows: ({ tables }) => tables.country,
    columns: ["Country"],
    note: ({ bucket }, areaOf) => (areaOf && !areaOf(bucket[0]) ? html` <span class="tag">not on the map</span>` : nothing),
    hasTableBeside: true,
  },
  {
    name: "city",
    title: "City",
    make: ({ total, tables }) => lyingBars(named(tables.city).slice(0, MOST_CITIES), total),
    words({ total, tables, buckets }) {
      const shown = Math.min(MOST_CITIES, tables.city.length);
      const largest = `The ${count(shown)} largest of ${countOf(buckets.city, "city", "cities")}`;
      return `${largest}; most members in ${listed(named(tables.city).slice(0, 3), total)}.`;
    },
    rows: ({ tables }) => tables.city,
    columns: ["Country", "City"],
  },
];

/** One distribution as a table. */
export function distributionTable({ name, title, rows, columns, note }, day, areaOf) {
  const all = rows(day);
  const of = day.buckets[name];
  return html`
    ${table({
      label: `Members by ${title.toLowerCase()}`,
      columns: [
        ...columns.map((column, place) => ({
          title: column,
          cell: (row) => html`${row.bucket[place]}${place === 0 && note ? note(row, areaOf) : nothing}`,
        })),
        { title: "Members", cell: (row) => count(row.members), isNumber: true },
        { title: "Share", cell: (row) => percent(row.members, day.total), isNumber: true },
      ],
      rows: all,
      key: (row) => JSON.stringify(row.bucket),
      empty: "Nobody yet.",
    })}
    ${of > all.length
      ? html`<p class="hint">${count(all.length)} of ${count(of)}; the CSV file holds all.</p>`
      : nothing}
  `;
}

function named(rows) {
  // The place within a bucket goes before what it lies in: "Oslo, Norway".
  return rows.map(({ bucket, members }) => ({ name: [...bucket].reverse().join(", "), members }));
}

function byName(rows) {
  // Whoever is ahead, each keeps its place and its colour.
  return rows.toSorted((one, other) => (one.bucket[0] < other.bucket[0] ? -1 : 1));
}

function ages(rows) {
  const members = new Map(rows.map((row) => [row.bucket[0], row.members]));
  return AGE_GROUPS.map((name) => ({ name, members: members.get(name) ?? 0 }));
}

function areas(rows, areaOf) {
  const members = new Map();
  for (const row of rows) {
    const area = areaOf(row.bucket[0]);
    if (area) members.set(area, (members.get(area) ?? 0) + row.members);
  }
  return [...members].map(([name, sum]) => ({ name, members: sum }));
}

function listed(bars, total) {
  return bars.map((bar) => `${bar.name} ${count(bar.members)} (${percent(bar.members, total)})`).join(", ");
}
