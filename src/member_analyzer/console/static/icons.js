// Icons of the states, distinguishable by shape as well as by colour.

import { html, svg } from "./vendor/lit-html/lit-html.js";

const SHAPES = {
  up: svg`<circle cx="8" cy="8" r="7.5" fill="currentColor"/><path d="M4.6 8.3l2.3 2.3 4.5-4.9" class="stroke"/>`,
  degraded: svg`<path d="M8 .8l7.6 13.9H.4z" fill="currentColor"/><path d="M8 5.6v4.2M8 11.6v1.2" class="stroke"/>`,
  down: svg`<rect x=".8" y=".8" width="14.4" height="14.4" rx="2.5" fill="currentColor"/><path d="M5 5l6 6M11 5l-6 6" class="stroke"/>`,
  unknown: svg`<circle cx="8" cy="8" r="6.7" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="3 2"/><path d="M5.5 8h5" stroke="currentColor" stroke-width="1.8"/>`,
};

export function icon(state) {
  return html`<svg class="icon icon-${state}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
    ${SHAPES[state] ?? SHAPES.unknown}
  </svg>`;
}
