// Words to the reader: why something is missing, and what to do.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";

/** What the server said instead of an answer. */
export function problem(error, again) {
  if (!error) return nothing;
  return html`<div class="notice notice-bad" role="alert">
    ${icon("down")}
    <div>
      <p>${error.message}</p>
      ${again ? html`<button type="button" class="button-plain" @click=${again}>Try again</button>` : nothing}
    </div>
  </div>`;
}

export function warning(...words) {
  return html`<div class="notice notice-warning">${icon("degraded")}<p>${words}</p></div>`;
}

export function emptiness(title, ...words) {
  return html`<div class="emptiness">
    <h2>${title}</h2>
    <p>${words}</p>
  </div>`;
}

export function loading(isUnderWay) {
  return isUnderWay ? html`<p class="loading" role="status">Loading …</p>` : nothing;
}
