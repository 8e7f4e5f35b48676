// The path of a member through all systems, and each station on it.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { keyed } from "./vendor/lit-html/directives/keyed.js";
import { drawEdges } from "./edges.js";
import { icon } from "./icons.js";
import { moment } from "./moments.js";
import { warning } from "./notices.js";
import { count, rate } from "./numbers.js";
import { details } from "./station_details.js";
import { STATIONS, station, stateText } from "./stations.js";
import { facts } from "./table.js";

const FIRST = "kafka";

let selected = FIRST;
let wasChosen = false;

export const pipeline = {
  title: "Pipeline",

  open([name]) {
    selected = Object.hasOwn(STATIONS, name ?? "") ? name : FIRST;
    wasChosen = name !== undefined;
  },

  template() {
    return html`
      <h1 tabindex="-1">Pipeline</h1>
      <p class="lead">The way of a member, station by station. Choose one to see what is inside.</p>
      <div class="path">
        <svg class="edges" aria-hidden="true"></svg>
        <ol class="stations">
          ${Object.keys(STATIONS).map((name) => stop(station(name)))}
        </ol>
      </div>
      ${keyed(selected, detail(station(selected)))}
    `;
  },

  drawn(main) {
    drawEdges(main.querySelector(".path"), main.querySelector(".edges"));
    const inside = main.querySelector(".station-detail");
    // On a narrow page it lies below all stations.
    if (wasChosen && inside.getBoundingClientRect().top > window.innerHeight * 0.8) inside.scrollIntoView();
    wasChosen = false;
  },
};

function stop(one) {
  const { title, purpose } = STATIONS[one.name];
  return html`<li class="stop stop-${one.name}">
    <a
      class="station station-${one.state}"
      href="#/pipeline/${one.name}"
      data-station=${one.name}
      aria-current=${one.name === selected ? "true" : "false"}
    >
      <span class="station-title">${title}</span>
      <span class="station-purpose">${purpose}</span>
      <span class="state state-${one.state}">${icon(one.state)} ${stateText(one.state)}</span>
      <span class="station-figures">${figures(one)}</span>
    </a>
  </li>`;
}

function figures(one) {
  if (one.state === "down" && one.since) return html`<span>since ${moment(one.since)}</span>`;
  return [
    isNumber(one.rate) ? html`<span><b>${rate(one.rate)}</b> a second</span>` : nothing,
    isNumber(one.lag) ? html`<span><b>${count(one.lag)}</b> behind</span>` : nothing,
  ];
}

function detail(one) {
  const { title } = STATIONS[one.name];
  return html`<section class="card station-detail" aria-labelledby="station-title">
    <header class="card-header">
      <h2 id="station-title">${title}</h2>
      <p class="state state-${one.state}">
        ${icon(one.state)} ${stateText(one.state)}${one.since ? html` since ${moment(one.since)}` : nothing}
      </p>
    </header>
    ${trouble(one)}
    ${facts([
      ...(isNumber(one.rate) ? [["Rate", `${rate(one.rate)} a second`]] : []),
      ...(isNumber(one.lag) ? [["Behind", count(one.lag)]] : []),
      ...one.facts,
      ...(one.checked_at ? [[one.state === "down" ? "Last seen" : "Looked at", moment(one.checked_at)]] : []),
    ])}
    ${one.detail ? details(one.name, one.detail) : nothing}
  </section>`;
}

function trouble(one) {
  if (!one.complaint && !one.means) return nothing;
  const words = html`${one.complaint ?? ""} ${one.means ? html`<strong>${one.means}</strong>` : nothing}`;
  if (one.state !== "down") return warning(words);
  const old = one.detail ? "What is below is what it last told." : "";
  return html`<div class="notice notice-bad">
    ${icon("down")}
    <p>${words} ${old}</p>
  </div>`;
}

function isNumber(value) {
  return typeof value === "number";
}
