// The pipeline page: a diagram of the components, and the details of the selected one.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { keyed } from "./vendor/lit-html/directives/keyed.js";
import { details } from "./component_details.js";
import { COMPONENTS, component, stateText } from "./components.js";
import { drawEdges } from "./edges.js";
import { icon } from "./icons.js";
import { warning } from "./notices.js";
import { count, rate } from "./numbers.js";
import { facts } from "./table.js";
import { timestamp } from "./times.js";

const DEFAULT = "kafka";

let selected = DEFAULT;
let scrollDue = false;

export const pipeline = {
  title: "Pipeline",

  open([name]) {
    selected = Object.hasOwn(COMPONENTS, name ?? "") ? name : DEFAULT;
    scrollDue = name !== undefined;
  },

  template() {
    return html`
      <h1 tabindex="-1">Pipeline</h1>
      <p class="lead">The components that process the members. Select one to see its details.</p>
      <div class="diagram">
        <svg class="edges" aria-hidden="true"></svg>
        <ol class="components">
          ${Object.keys(COMPONENTS).map((name) => node(component(name)))}
        </ol>
      </div>
      ${keyed(selected, selectedDetails(component(selected)))}
    `;
  },

  afterRender(main) {
    drawEdges(main.querySelector(".diagram"), main.querySelector(".edges"));
    const panel = main.querySelector(".component-details");
    // On a narrow page the details are below all components.
    if (scrollDue && panel.getBoundingClientRect().top > window.innerHeight * 0.8) panel.scrollIntoView();
    scrollDue = false;
  },
};

function node(status) {
  const { name, state } = status;
  const { title, description } = COMPONENTS[name];
  return html`<li class="node node-${name}">
    <a
      class="component component-${state}"
      href="#/pipeline/${name}"
      data-component=${name}
      aria-current=${name === selected ? "true" : "false"}
    >
      <span class="component-title">${title}</span>
      <span class="component-description">${description}</span>
      <span class="state state-${state}">${icon(state)} ${stateText(state)}</span>
      <span class="component-figures">${figures(status)}</span>
    </a>
  </li>`;
}

function figures(status) {
  if (status.state === "down" && status.since) return html`<span>since ${timestamp(status.since)}</span>`;
  return [
    isNumber(status.rate) ? html`<span><b>${rate(status.rate)}</b> per second</span>` : nothing,
    isNumber(status.lag) ? html`<span>lag <b>${count(status.lag)}</b></span>` : nothing,
  ];
}

function selectedDetails(status) {
  const { title } = COMPONENTS[status.name];
  return html`<section class="card component-details" aria-labelledby="component-title">
    <header class="card-header">
      <h2 id="component-title">${title}</h2>
      <p class="state state-${status.state}">
        ${icon(status.state)} ${stateText(status.state)}${status.since ? html` since ${timestamp(status.since)}` : nothing}
      </p>
    </header>
    ${errorOf(status)}
    ${facts([
      ...(isNumber(status.rate) ? [["Rate", `${rate(status.rate)} per second`]] : []),
      ...(isNumber(status.lag) ? [["Lag", count(status.lag)]] : []),
      ...status.facts,
      ...(status.checked_at
        ? [[status.state === "down" ? "Last seen" : "Last checked", timestamp(status.checked_at)]]
        : []),
    ])}
    ${status.detail ? details(status.name, status.detail) : nothing}
  </section>`;
}

function errorOf({ state, error, impact, detail }) {
  if (!error && !impact) return nothing;
  const text = html`${error ?? ""} ${impact ? html`<strong>${impact}</strong>` : nothing}`;
  if (state !== "down") return warning(text);
  return html`<div class="notice notice-error">
    ${icon("down")}
    <p>${text} ${detail ? "The details below are the last known ones." : ""}</p>
  </div>`;
}

function isNumber(value) {
  return typeof value === "number";
}
