// Errors, warnings and empty states.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";

export function errorNotice(error, retry) {
  if (!error) return nothing;
  return html`<div class="notice notice-error" role="alert">
    ${icon("down")}
    <div>
      <p>${error.message}</p>
      ${retry ? html`<button type="button" class="button-plain" @click=${retry}>Try again</button>` : nothing}
    </div>
  </div>`;
}

export function warning(...content) {
  return html`<div class="notice notice-warning">${icon("degraded")}<p>${content}</p></div>`;
}

export function emptyState(title, ...content) {
  return html`<div class="empty-state">
    <h2>${title}</h2>
    <p>${content}</p>
  </div>`;
}

export function loading(isLoading) {
  return isLoading ? html`<p class="loading" role="status">Loading …</p>` : nothing;
}
