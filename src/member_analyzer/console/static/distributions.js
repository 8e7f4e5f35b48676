// The four distributions of a day, each as a chart, a description and a table.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { doughnut, horizontalBars, verticalBars, worldMap } from "./charts.js";
import { count, countOf, percent } from "./numbers.js";
import { table } from "./table.js";

const CHART_CITIES = 20;
const AGE_GROUPS = ["0-15", "16-30", "31-45", "46-60", "61+"];

/**
 * `day` is {date, total, tables, bucket_counts}; `findArea` returns the name of a country on the map, and is null until
 * the map has been loaded.
 */
export const DISTRIBUTIONS = [
  {
    name: "age",
    title: "Age",
    chart: ({ total, tables }) => verticalBars(ages(tables.age), total),
    describe: ({ total, tables }) => `${countOf(total, "member")} by age: ${list(ages(tables.age), total)}.`,
    rows: ({ tables }) => ages(tables.age).map((bar) => ({ bucket: [bar.name], members: bar.members })),
    columns: ["Age"],
  },
  {
    name: "gender",
    title: "Gender",
    chart: ({ total, tables }) => doughnut(named(byName(tables.gender)), total),
    describe: ({ total, tables }) => `${countOf(total, "member")} by gender: ${list(named(byName(tables.gender)), total)}.`,
    rows: ({ tables }) => byName(tables.gender),
    columns: ["Gender"],
  },
  {
    name: "country",
    title: "Country",
    chart: ({ total, tables }, findArea) => worldMap(areas(tables.country, findArea), total),
    describe({ total, tables, bucket_counts: bucketCounts }, findArea) {
      const unmapped = findArea ? tables.country.filter((row) => !findArea(row.bucket[0])) : [];
      const members = unmapped.reduce((sum, row) => sum + row.members, 0);
      const missing = members
        ? ` Not on the map: ${countOf(members, "member")} from ${countOf(unmapped.length, "country", "countries")}.`
        : "";
      const countries = countOf(bucketCounts.country, "country", "countries");
      return `${countries}; most members in ${list(named(tables.country).slice(0, 3), total)}.${missing}`;
    },
    rows: ({ tables }) => tables.country,
    columns: ["Country"],
    note: ({ bucket }, findArea) =>
      findArea && !findArea(bucket[0]) ? html` <span class="tag">not on the map</span>` : nothing,
    hasTableBeside: true,
  },
  {
    name: "city",
    title: "City",
    chart: ({ total, tables }) => horizontalBars(named(tables.city).slice(0, CHART_CITIES), total),
    describe({ total, tables, bucket_counts: bucketCounts }) {
      const shown = Math.min(CHART_CITIES, tables.city.length);
      const largest = `The ${count(shown)} largest of ${countOf(bucketCounts.city, "city", "cities")}`;
      return `${largest}; most members in ${list(named(tables.city).slice(0, 3), total)}.`;
    },
    rows: ({ tables }) => tables.city,
    columns: ["Country", "City"],
  },
];

export function distributionTable({ name, title, rows, columns, note }, day, findArea) {
  const shown = rows(day);
  const total = day.bucket_counts[name];
  return html`
    ${table({
      label: `Members by ${title.toLowerCase()}`,
      columns: [
        ...columns.map((column, index) => ({
          title: column,
          cell: (row) => html`${row.bucket[index]}${index === 0 && note ? note(row, findArea) : nothing}`,
        })),
        { title: "Members", cell: (row) => count(row.members), isNumber: true },
        { title: "Share", cell: (row) => percent(row.members, day.total), isNumber: true },
      ],
      rows: shown,
      key: (row) => JSON.stringify(row.bucket),
      empty: "No members yet.",
    })}
    ${total > shown.length
      ? html`<p class="hint">Showing ${count(shown.length)} of ${count(total)}; the CSV file contains all.</p>`
      : nothing}
  `;
}

function named(rows) {
  // The most specific part first: "Oslo, Norway".
  return rows.map(({ bucket, members }) => ({ name: [...bucket].reverse().join(", "), members }));
}

function byName(rows) {
  // A stable order keeps the colours of the slices while the counts change.
  return rows.toSorted((a, b) => (a.bucket[0] < b.bucket[0] ? -1 : 1));
}

function ages(rows) {
  const members = new Map(rows.map((row) => [row.bucket[0], row.members]));
  return AGE_GROUPS.map((name) => ({ name, members: members.get(name) ?? 0 }));
}

function areas(rows, findArea) {
  const members = new Map();
  for (const row of rows) {
    const area = findArea(row.bucket[0]);
    if (area) members.set(area, (members.get(area) ?? 0) + row.members);
  }
  return [...members].map(([name, sum]) => ({ name, members: sum }));
}

function list(bars, total) {
  return bars.map((bar) => `${bar.name} ${count(bar.members)} (${percent(bar.members, total)})`).join(", ");
}
