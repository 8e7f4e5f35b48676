// The decoded fields of a record.

import { html } from "./vendor/lit-html/lit-html.js";
import { NONE } from "./numbers.js";

export function fields(values) {
  return html`<dl class="fields">
    ${Object.entries(values).map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${text(value)}</dd>
        </div>`,
    )}
  </dl>`;
}

export function maskedHint() {
  return html`<p class="hint">
    Personal fields are masked for this login; the login <strong>operator</strong> sees them.
  </p>`;
}

function text(value) {
  if (value === null || value === undefined) return NONE;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
