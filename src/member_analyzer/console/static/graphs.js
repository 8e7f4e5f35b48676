// The pictures that `generate_graphs` draws, by day.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { dayText } from "./moments.js";
import { emptiness, loading, problem } from "./notices.js";
import { Answer, ask } from "./server.js";

const SUBJECTS = ["age", "gender", "country", "city"];

const found = new Answer();
let chosen = null;

export const graphs = {
  title: "Graphs",

  open([day]) {
    chosen = day ?? null;
    look();
  },

  template() {
    const days = found.value ?? [];
    const shown = chosen ? days.find((one) => one.day === chosen) : days[0];
    return html`
      <h1 tabindex="-1">Graphs</h1>
      <p class="lead">What the DAG generate_graphs drew.</p>
      ${problem(found.problem, look)}
      ${found.value === null ? loading(found.isUnderWay) : days.length === 0 ? none() : gallery(days, shown)}
    `;
  },
};

function look() {
  found.fetch(async () => (await ask("/api/graphs")).days);
}

function none() {
  return emptiness(
    "No graph has been drawn yet",
    "The DAG generate_graphs draws them once a day; it can be started in Airflow at any time.",
  );
}

function gallery(days, shown) {
  const go = (event) => (location.hash = `#/graphs/${event.target.value}`);
  return html`
    <div class="form">
      <label>
        Day
        <select @change=${go}>
          ${shown ? nothing : html`<option value="" selected>${chosen}</option>`}
          ${days.map(({ day }) => html`<option value=${day} ?selected=${day === shown?.day}>${day}</option>`)}
        </select>
      </label>
      ${shown ? html`<a class="button-plain" href="#/members/${shown.day}">The numbers of this day</a>` : nothing}
    </div>
    ${shown
      ? html`<div class="gallery">${inOrder(shown.files).map((file) => picture(shown.day, file))}</div>`
      : emptiness("No graph of this day", `Nothing was drawn on ${chosen}.`)}
  `;
}

function inOrder(files) {
  const place = (file) => SUBJECTS.indexOf(subjectOf(file));
  return files.toSorted((one, other) => place(one) - place(other));
}

function subjectOf(file) {
  return file.split(/[_.]/)[0];
}

function picture(day, file) {
  const words = `Bar chart of the members by ${subjectOf(file)} on ${dayText(day)}`;
  const address = `/graphs/${encodeURIComponent(day)}/${encodeURIComponent(file)}`;
  return html`<figure class="card">
    <a href=${address}><img src=${address} alt=${words} loading="lazy" /></a>
    <figcaption>Members by ${subjectOf(file)} on ${dayText(day)}</figcaption>
  </figure>`;
}
