// Tables that scroll by themselves where the page is too narrow for them.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";

/**
 * A table with a name. `columns` are {title, cell, isNumber}, the first of them names the row; `key` tells rows apart;
 * `below` may give a further row under one, over the whole width.
 */
export function table({ label, columns, rows, key, below = () => nothing, empty = "Nothing yet." }) {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const heading = (column) => html`<th scope="col" class=${kind(column)}>${column.title}</th>`;
  const cell = (row) => (column, place) =>
    place === 0
      ? html`<th scope="row" class=${kind(column)}>${column.cell(row)}</th>`
      : html`<td class=${kind(column)}>${column.cell(row)}</td>`;
  return html`
    <div class="scroll" role="region" tabindex="0" aria-label=${label}>
      <table>
        <caption class="unseen">
          ${label}
        </caption>
        <thead>
          <tr>
            ${columns.map(heading)}
          </tr>
        </thead>
        <tbody>
          ${repeat(
            rows,
            key,
            (row) =>
              html`<tr>
                  ${columns.map(cell(row))}
                </tr>
                ${below(row)}`,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function kind(column) {
  return column.isNumber ? "number" : "";
}

/** Labels with their values. */
export function facts(pairs) {
  return html`<dl class="facts">
    ${pairs.map(
      ([label, value]) =>
        html`<div>
          <dt>${label}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}
