// The members page: live counts of the newest day, or the counts of a past day.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live as liveValue } from "./vendor/lit-html/directives/live.js";
import { Chart, registerWorld } from "./charts.js";
import { component } from "./components.js";
import { areaFinder, fetchBorders } from "./countries.js";
import { DISTRIBUTIONS, distributionTable } from "./distributions.js";
import { live } from "./events.js";
import { icon } from "./icons.js";
import { emptyState, errorNotice, loading, warning } from "./notices.js";
import { count, countOf, rate } from "./numbers.js";
import { redraw } from "./renderer.js";
import { Resource, request, withParameters } from "./server.js";
import { formatDay, timestamp } from "./times.js";

const MAX_COUNTRIES = 1000;
const MAX_CITIES = 100;
const DAY = /^\d{4}-\d\d-\d\d$/;

const days = new Resource();
const past = new Resource();
const charts = new Map();
let selectedDay = null;
let findArea = null;
let mapError = null;

export const members = {
  title: "Members",

  open([day]) {
    selectedDay = DAY.test(day ?? "") ? day : null;
    days.fetch(async () => (await request("/api/days")).days);
    past.clear();
    if (selectedDay) loadPast();
    if (!findArea) loadMap();
  },

  template() {
    const day = shownDay();
    return html`
      <div class="page-head">
        <h1 tabindex="-1">Members</h1>
        ${dayPicker()}
      </div>
      ${errorNotice(days.problem)}
      ${selectedDay ? (isMissing() ? nothing : errorNotice(past.problem, loadPast)) : staleWarning()}
      ${isMissing() ? noMembers() : day === null ? waiting() : day.total === 0 ? noMembers() : [headline(day), cards(day)]}
    `;
  },

  afterRender(main) {
    const elements = new Map([...main.querySelectorAll("[data-chart]")].map((element) => [element.dataset.chart, element]));
    for (const [name, chart] of charts) {
      if (elements.get(name) !== chart.element) {
        chart.dispose();
        charts.delete(name);
      }
    }
    const day = shownDay();
    for (const distribution of DISTRIBUTIONS) {
      const { name } = distribution;
      const element = elements.get(name);
      if (!element || (name === "country" && !findArea)) continue;
      if (!charts.has(name)) charts.set(name, new Chart(element));
      charts.get(name).update(distribution.chart(day, findArea), distribution.describe(day, findArea));
    }
  },

  close() {
    for (const chart of charts.values()) chart.dispose();
    charts.clear();
  },
};

function shownDay() {
  return selectedDay ? past.value : live.members;
}

function isMissing() {
  return selectedDay !== null && past.problem?.status === 404;
}

function loadPast() {
  const date = selectedDay;
  past.fetch(async () => {
    const responses = await Promise.all(
      DISTRIBUTIONS.map(({ name }) =>
        request(
          withParameters(`/api/analysis/${name}`, { date, limit: name === "country" ? MAX_COUNTRIES : MAX_CITIES }),
        ),
      ),
    );
    const byTable = (field) => Object.fromEntries(DISTRIBUTIONS.map(({ name }, index) => [name, responses[index][field]]));
    return { date, total: responses[0].total, tables: byTable("buckets"), bucket_counts: byTable("bucket_count") };
  });
}

async function loadMap() {
  try {
    const borders = await fetchBorders();
    registerWorld(borders);
    findArea = areaFinder(borders);
  } catch (error) {
    mapError = error;
  }
  redraw();
}

function dayPicker() {
  const known = days.value ?? [];
  const today = live.members?.date ?? known[0];
  const previous = known.find((day) => day < (selectedDay ?? today));
  const next = selectedDay ? known.findLast((day) => day > selectedDay) : undefined;
  const open = (day) => (location.hash = day === today ? "#/members" : `#/members/${day}`);
  const select = (event) => {
    if (DAY.test(event.target.value)) open(event.target.value);
  };
  const step = (day, label, sign) =>
    html`<button type="button" class="button-plain step" aria-label=${label} ?disabled=${!day} @click=${() => open(day)}>
      ${sign}
    </button>`;
  return html`<div class="day-picker" role="group" aria-label="Day selection">
    ${step(previous, "Previous day", "‹")}
    <label class="visually-hidden" for="day">Day</label>
    <input
      id="day"
      type="date"
      .value=${liveValue(selectedDay ?? today ?? "")}
      max=${today ?? nothing}
      min=${known.at(-1) ?? nothing}
      @change=${select}
    />
    ${step(next, "Next day", "›")}
    ${selectedDay ? html`<a class="button-plain" href="#/members">Back to live</a>` : liveBadge()}
  </div>`;
}

function liveBadge() {
  if (live.disconnectedSince || live.members?.is_stale) {
    return html`<span class="state state-degraded">${icon("degraded")} Not live</span>`;
  }
  return html`<span class="live-badge"><span class="live-dot" aria-hidden="true"></span>Live</span>`;
}

function staleWarning() {
  if (!live.members?.is_stale) return nothing;
  const { since, impact } = component("cassandra");
  return warning(
    html`<strong>Stale data:</strong> the counts last changed at ${timestamp(live.members.changed_at)}${since
        ? html`; Cassandra has been unavailable since ${timestamp(since)}`
        : nothing}.
      ${impact ?? ""}`,
  );
}

function headline(day) {
  const notes = selectedDay
    ? html`<p class="total-note">as counted on ${formatDay(day.date)}</p>`
    : html`<p class="total-note"><b>${rate(day.rate)}</b> per second</p>
        <p class="total-note">as of ${timestamp(day.changed_at)}</p>`;
  return html`<section class="headline" aria-label="Total">
    <p class="total"><span id="total">${count(day.total)}</span> <span class="total-unit">members</span></p>
    ${notes}
  </section>`;
}

function cards(day) {
  return html`<div class="cards">${DISTRIBUTIONS.map((distribution) => card(distribution, day))}</div>`;
}

function card(distribution, day) {
  const { name, title, hasTableBeside } = distribution;
  const csv = withParameters(`/api/analysis/${name}.csv`, { date: day.date });
  const content = hasTableBeside
    ? html`<div class="side-by-side">${figure(distribution, day)} ${distributionTable(distribution, day, findArea)}</div>`
    : html`${figure(distribution, day)}
        <details>
          <summary>Show as table</summary>
          ${distributionTable(distribution, day, findArea)}
        </details>`;
  return html`<section class="card card-${name}" aria-labelledby="title-${name}">
    <header class="card-header">
      <h2 id="title-${name}">${title}</h2>
      <div class="card-tools">
        <button
          type="button"
          class="button-plain"
          aria-label="${title} as PNG"
          @click=${() => downloadPng(distribution, day)}
        >
          PNG
        </button>
        <a class="button-plain" href=${csv} download aria-label="${title} as CSV">CSV</a>
      </div>
    </header>
    ${content}
  </section>`;
}

function figure({ name, describe }, day) {
  return html`<figure>
    ${name === "country" && mapError ? errorNotice(mapError) : nothing}
    <div class="chart chart-${name}" data-chart=${name}></div>
    <figcaption>${describe(day, findArea)}</figcaption>
  </figure>`;
}

function downloadPng({ name, title }, day) {
  const link = document.createElement("a");
  link.href = charts.get(name).toPng(`Members by ${title.toLowerCase()}, ${day.date}`);
  link.download = `${name}-${day.date}.png`;
  link.click();
}

function waiting() {
  if (selectedDay) return past.problem ? nothing : loading(true);
  const { state, error, impact } = component("cassandra");
  if (state === "down") return emptyState("The member counts are unavailable", error ?? "", " ", impact ?? "");
  return loading(true);
}

function noMembers() {
  if (selectedDay) return emptyState(`No members on ${formatDay(selectedDay)}`, availableDays());
  return emptyState(
    "No members yet",
    "Start the DAG user_create in Airflow, or send members to the collector: ",
    html`<code>POST /v1/users</code>.`,
  );
}

function availableDays() {
  const known = days.value ?? [];
  if (known.length === 0) return "No day has been counted yet.";
  return `Available: ${countOf(known.length, "day")} from ${known.at(-1)} to ${known[0]}.`;
}
