// Scrollable tables, and lists of labels and values.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";

/**
 * A table. `columns` are {title, cell, isNumber}, and the first one is the header of each row; `key` identifies a row;
 * `below` returns an optional extra row under a row.
 */
export function table({ label, columns, rows, key, below = () => nothing, empty = "None yet." }) {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const heading = (column) => html`<th scope="col" class=${alignment(column)}>${column.title}</th>`;
  const cell = (row) => (column, index) =>
    index === 0
      ? html`<th scope="row" class=${alignment(column)}>${column.cell(row)}</th>`
      : html`<td class=${alignment(column)}>${column.cell(row)}</td>`;
  return html`
    <div class="scroll" role="region" tabindex="0" aria-label=${label}>
      <table>
        <caption class="visually-hidden">
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

function alignment(column) {
  return column.isNumber ? "number" : "";
}

/** A list of [label, value] pairs. */
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
