// The graphs page: the PNG files that `generate_graphs` draws, by day.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { emptyState, errorNotice, loading } from "./notices.js";
import { Resource, request } from "./server.js";
import { formatDay } from "./times.js";

const TABLES = ["age", "gender", "country", "city"];

const available = new Resource();
let selectedDay = null;

export const graphs = {
  title: "Graphs",

  open([day]) {
    selectedDay = day ?? null;
    load();
  },

  template() {
    const days = available.value ?? [];
    const shown = selectedDay ? days.find(({ day }) => day === selectedDay) : days[0];
    return html`
      <h1 tabindex="-1">Graphs</h1>
      <p class="lead">Charts drawn by the DAG generate_graphs.</p>
      ${errorNotice(available.problem, load)}
      ${available.value === null ? loading(available.isLoading) : days.length === 0 ? noGraphs() : gallery(days, shown)}
    `;
  },
};

function load() {
  available.fetch(async () => (await request("/api/graphs")).days);
}

function noGraphs() {
  return emptyState("No graphs yet", "The DAG generate_graphs runs once a day; it can also be triggered in Airflow.");
}

function gallery(days, shown) {
  const open = (event) => (location.hash = `#/graphs/${event.target.value}`);
  return html`
    <div class="form">
      <label>
        Day
        <select @change=${open}>
          ${shown ? nothing : html`<option value="" selected>${selectedDay}</option>`}
          ${days.map(({ day }) => html`<option value=${day} ?selected=${day === shown?.day}>${day}</option>`)}
        </select>
      </label>
      ${shown ? html`<a class="button-plain" href="#/members/${shown.day}">Member counts of this day</a>` : nothing}
    </div>
    ${shown
      ? html`<div class="gallery">${sort(shown.files).map((file) => graph(shown.day, file))}</div>`
      : emptyState("No graphs of this day", `No graphs were drawn on ${selectedDay}.`)}
  `;
}

function sort(files) {
  const position = (file) => TABLES.indexOf(tableOf(file));
  return files.toSorted((a, b) => position(a) - position(b));
}

function tableOf(file) {
  return file.split(/[_.]/)[0];
}

function graph(day, file) {
  const alt = `Bar chart of the members by ${tableOf(file)} on ${formatDay(day)}`;
  const url = `/graphs/${encodeURIComponent(day)}/${encodeURIComponent(file)}`;
  return html`<figure class="card">
    <a href=${url}><img src=${url} alt=${alt} loading="lazy" /></a>
    <figcaption>Members by ${tableOf(file)} on ${formatDay(day)}</figcaption>
  </figure>`;
}
