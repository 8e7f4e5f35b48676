// The members of today, live, or of a day before.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { Chart, registerWorld } from "./charts.js";
import { areasOf, fetchOutlines } from "./countries.js";
import { DISTRIBUTIONS, distributionTable } from "./distributions.js";
import { live as now } from "./events.js";
import { icon } from "./icons.js";
import { dayText, moment } from "./moments.js";
import { emptiness, loading, problem, warning } from "./notices.js";
import { count, countOf, rate } from "./numbers.js";
import { redraw } from "./screen.js";
import { Answer, ask, path } from "./server.js";
import { station } from "./stations.js";

const MOST_COUNTRIES = 1000;
const MOST_CITIES = 100;
const DAY = /^\d{4}-\d\d-\d\d$/;

const days = new Answer();
const past = new Answer();
const charts = new Map();
let chosen = null;
let areaOf = null;
let mapProblem = null;

export const members = {
  title: "Members",

  open([day]) {
    chosen = DAY.test(day ?? "") ? day : null;
    days.fetch(async () => (await ask("/api/days")).days);
    past.clear();
    if (chosen) fetchPast();
    if (!areaOf) loadMap();
  },

  template() {
    const day = shownDay();
    return html`
      <div class="page-head">
        <h1 tabindex="-1">Members</h1>
        ${dayPicker()}
      </div>
      ${problem(days.problem)} ${chosen ? (isUncounted() ? nothing : problem(past.problem, fetchPast)) : staleness()}
      ${isUncounted() ? nobody() : day === null ? waiting() : day.total === 0 ? nobody() : [headline(day), cards(day)]}
    `;
  },

  drawn(main) {
    const places = new Map([...main.querySelectorAll("[data-chart]")].map((place) => [place.dataset.chart, place]));
    for (const [name, chart] of charts) {
      if (places.get(name) !== chart.place) {
        chart.close();
        charts.delete(name);
      }
    }
    const day = shownDay();
    for (const one of DISTRIBUTIONS) {
      const place = places.get(one.name);
      if (!place || (one.name === "country" && !areaOf)) continue;
      if (!charts.has(one.name)) charts.set(one.name, new Chart(place));
      charts.get(one.name).show(one.make(day, areaOf), one.words(day, areaOf));
    }
  },

  close() {
    for (const chart of charts.values()) chart.close();
    charts.clear();
  },
};

function shownDay() {
  return chosen ? past.value : now.members;
}

function isUncounted() {
  return chosen !== null && past.problem?.status === 404;
}

function fetchPast() {
  const date = chosen;
  past.fetch(async () => {
    const answers = await Promise.all(
      DISTRIBUTIONS.map(({ name }) =>
        ask(path(`/api/analysis/${name}`, { date, limit: name === "country" ? MOST_COUNTRIES : MOST_CITIES })),
      ),
    );
    const byName = (value) => Object.fromEntries(DISTRIBUTIONS.map(({ name }, place) => [name, value(answers[place])]));
    return {
      date,
      total: answers[0].total,
      tables: byName((answer) => answer.buckets),
      buckets: byName((answer) => answer.of),
    };
  });
}

async function loadMap() {
  try {
    const outlines = await fetchOutlines();
    registerWorld(outlines);
    areaOf = areasOf(outlines);
  } catch (error) {
    mapProblem = error;
  }
  redraw();
}

function dayPicker() {
  const known = days.value ?? [];
  const today = now.members?.date ?? known[0];
  const earlier = known.find((day) => day < (chosen ?? today));
  const later = chosen ? known.findLast((day) => day > chosen) : undefined;
  const choose = (event) => {
    const day = event.target.value;
    if (DAY.test(day)) location.hash = day === today ? "#/members" : `#/members/${day}`;
  };
  const step = (day, words, sign) =>
    html`<button
      type="button"
      class="button-plain step"
      aria-label=${words}
      ?disabled=${!day}
      @click=${() => (location.hash = day === today ? "#/members" : `#/members/${day}`)}
    >
      ${sign}
    </button>`;
  return html`<div class="day-picker" role="group" aria-label="Which day">
    ${step(earlier, "The day before", "‹")}
    <label class="unseen" for="day">Day</label>
    <input
      id="day"
      type="date"
      .value=${live(chosen ?? today ?? "")}
      max=${today ?? nothing}
      min=${known.at(-1) ?? nothing}
      @change=${choose}
    />
    ${step(later, "The day after", "›")}
    ${chosen
      ? html`<a class="button-plain" href="#/members">Back to live</a>`
      : liveMark()}
  </div>`;
}

function liveMark() {
  if (now.lostSince || now.members?.is_stale) return html`<span class="state state-degraded">${icon("degraded")} Not live</span>`;
  return html`<span class="live-mark"><span class="live-dot" aria-hidden="true"></span>Live</span>`;
}

function staleness() {
  if (!now.members?.is_stale) return nothing;
  const { since, means } = station("cassandra");
  return warning(
    html`<strong>These numbers are old:</strong> they are as of ${moment(now.members.changed_at)}${since
        ? html`; Cassandra is away since ${moment(since)}`
        : nothing}.
      ${means ?? ""}`,
  );
}

function headline(day) {
  const figures = chosen
    ? html`<p class="total-note">as counted on ${dayText(day.date)}</p>`
    : html`<p class="total-note"><b>${rate(day.rate)}</b> a second</p>
        <p class="total-note">as of ${moment(day.changed_at)}</p>`;
  return html`<section class="headline" aria-label="Total">
    <p class="total"><span id="total">${count(day.total)}</span> <span class="total-unit">members</span></p>
    ${figures}
  </section>`;
}

function cards(day) {
  return html`<div class="cards">${DISTRIBUTIONS.map((one) => card(one, day))}</div>`;
}

function card(one, day) {
  const csv = path(`/api/analysis/${one.name}.csv`, { date: day.date });
  const shown = one.hasTableBeside
    ? html`<div class="beside">${figure(one, day)} ${distributionTable(one, day, areaOf)}</div>`
    : html`${figure(one, day)}
        <details>
          <summary>As a table</summary>
          ${distributionTable(one, day, areaOf)}
        </details>`;
  return html`<section class="card card-${one.name}" aria-labelledby="title-${one.name}">
    <header class="card-header">
      <h2 id="title-${one.name}">${one.title}</h2>
      <div class="card-tools">
        <button
          type="button"
          class="button-plain"
          aria-label="${one.title} as PNG"
          @click=${() => savePicture(one, day)}
        >
          PNG
        </button>
        <a class="button-plain" href=${csv} download aria-label="${one.title} as CSV">CSV</a>
      </div>
    </header>
    ${shown}
  </section>`;
}

function figure(one, day) {
  return html`<figure>
    ${one.name === "country" && mapProblem ? problem(mapProblem) : nothing}
    <div class="chart chart-${one.name}" data-chart=${one.name}></div>
    <figcaption>${one.words(day, areaOf)}</figcaption>
  </figure>`;
}

function savePicture(one, day) {
  const link = document.createElement("a");
  link.href = charts.get(one.name).picture(`Members by ${one.title.toLowerCase()}, ${day.date}`);
  link.download = `${one.name}-${day.date}.png`;
  link.click();
}

function waiting() {
  if (chosen) return past.problem ? nothing : loading(true);
  const { state, complaint, means } = station("cassandra");
  if (state === "down") return emptiness("The members cannot be read", complaint ?? "", " ", means ?? "");
  return loading(true);
}

function nobody() {
  if (chosen) return emptiness(`Nobody was counted on ${dayText(chosen)}`, nearest());
  return emptiness(
    "No member yet",
    "The charts begin with the first one. Start the DAG user_create in Airflow, or send members to the collector: ",
    html`<code>POST /v1/users</code>.`,
  );
}

function nearest() {
  const known = days.value ?? [];
  if (known.length === 0) return "No day has been counted yet.";
  return `${countOf(known.length, "day")} can be looked at, from ${known.at(-1)} to ${known[0]}.`;
}
