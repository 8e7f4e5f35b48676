// The rejected page: rejected records by reason, one record in detail, and replays.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { component } from "./components.js";
import { fields, maskedHint } from "./fields.js";
import { icon } from "./icons.js";
import { login } from "./login.js";
import { errorNotice, loading } from "./notices.js";
import { NONE, count, countOf } from "./numbers.js";
import { redraw } from "./renderer.js";
import { Resource, request, withParameters } from "./server.js";
import { facts, table } from "./table.js";
import { timestamp } from "./times.js";

const LIMIT = 100;
/** The reason of records that the stream did not write; they cannot be replayed. */
const FOREIGN = "foreign";
const STATES = { waiting: "Waiting", replayed: "Replayed", all: "All" };

const list = new Resource();
const record = new Resource();
const replay = new Resource();
const selected = { reason: "", state: "waiting", origin: null };
/** The replay that the dialog asks to confirm, as {body, description}. */
let proposed = null;
let lastCounts = "";
let previousOrigin = null;
/** Selector of the element to focus after the next render. */
let focusDue = null;

export const rejected = {
  title: "Rejected",

  open([reason, origin]) {
    selected.reason = reason && reason !== "all" ? reason : "";
    selected.origin = origin || null;
    replay.clear();
    loadList();
    if (selected.origin) loadRecord();
    else record.clear();
    if (selected.origin !== previousOrigin) {
      focusDue = selected.origin ? "#record-title" : `[data-origin="${CSS.escape(previousOrigin)}"]`;
    }
    previousOrigin = selected.origin;
  },

  afterRender(main) {
    const target = focusDue && main.querySelector(focusDue);
    if (!target) return;
    focusDue = null;
    target.focus();
  },

  close() {
    previousOrigin = null;
    focusDue = null;
  },

  onEvent() {
    const counts = JSON.stringify(component("rejected").detail);
    if (counts === lastCounts) return;
    lastCounts = counts;
    loadList();
    if (selected.origin) loadRecord();
  },

  template() {
    return html`
      <h1 tabindex="-1">Rejected</h1>
      <p class="lead">
        Records that break a rule are kept with the reason, and can be replayed once the cause is fixed.
      </p>
      ${replayResult()} ${selected.origin ? recordDetails() : nothing} ${reasons()} ${filters()}
      ${errorNotice(list.problem, loadList)} ${list.value ? results() : loading(list.isLoading)} ${replayDialog()}
    `;
  },
};

function loadList() {
  const { reason, state } = selected;
  list.fetch(() => request(withParameters("/api/rejected", { reason, state, limit: LIMIT })));
}

function loadRecord() {
  if (record.value?.origin !== selected.origin) record.value = null;
  record.fetch(() => request(`/api/rejected/${encodeURIComponent(selected.origin)}`));
}

function link(reason, origin) {
  const base = `#/rejected/${encodeURIComponent(reason || "all")}`;
  return origin ? `${base}/${encodeURIComponent(origin)}` : base;
}

function reasons() {
  const { state, error, impact, detail } = component("rejected");
  const rows = detail?.by_reason ?? [];
  const outage = state === "down" ? html`<p class="notice notice-error">${icon("down")} ${error} ${impact}</p>` : nothing;
  const total = rows.reduce((sum, row) => sum + replayable(row), 0);
  return html`${outage}
    <section class="card" aria-labelledby="reasons-title">
      <header class="card-header">
        <h2 id="reasons-title">Reasons</h2>
        <div class="card-tools">
          ${replayButton(total, `Replay all ${count(total)}`, {
            body: { all: true },
            description: `all ${countOf(total, "waiting record")}`,
          })}
        </div>
      </header>
      ${login.may("replay")
        ? nothing
        : html`<p class="hint">This login is read-only; the login <strong>operator</strong> can replay records.</p>`}
      ${rows.some((row) => row.before_landing)
        ? html`<p class="hint">
            Records rejected before landing never reached a topic: they are counted here, but not listed below.
          </p>`
        : nothing}
      ${table({
        label: "Reasons with counts",
        columns: [
          {
            title: "Reason",
            cell: (row) =>
              html`<a href=${link(row.reason)} aria-current=${row.reason === selected.reason ? "true" : "false"}>
                ${row.reason}
              </a>`,
          },
          { title: "Waiting", cell: (row) => count(row.waiting), isNumber: true },
          { title: "Replayed", cell: (row) => count(row.replayed), isNumber: true },
          { title: "Before landing", cell: (row) => count(row.before_landing), isNumber: true },
          ...(login.may("replay")
            ? [
                {
                  title: "Action",
                  cell: (row) =>
                    replayButton(
                      replayable(row),
                      "Replay",
                      {
                        body: { reason: row.reason },
                        description: `${countOf(replayable(row), "record")} rejected for ${row.reason}`,
                      },
                      `Replay ${row.reason}`,
                    ),
                },
              ]
            : []),
        ],
        rows,
        key: (row) => row.reason,
        empty: "No records were rejected.",
      })}
    </section>`;
}

function replayable({ reason, waiting, before_landing: beforeLanding }) {
  return reason === FOREIGN ? 0 : waiting + beforeLanding;
}

function filters() {
  const rows = component("rejected").detail?.by_reason ?? [];
  const known = [...new Set([...rows.map((row) => row.reason), ...(selected.reason ? [selected.reason] : [])])];
  const option = (value, label, current) => html`<option value=${value} ?selected=${value === current}>${label}</option>`;
  const selectState = (event) => {
    selected.state = event.target.value;
    loadList();
  };
  return html`<div class="form" role="group" aria-label="Record filter">
    <label>
      Reason
      <select @change=${(event) => (location.hash = link(event.target.value))}>
        ${option("", "All", selected.reason)} ${known.map((reason) => option(reason, reason, selected.reason))}
      </select>
    </label>
    <label>
      State
      <select @change=${selectState}>
        ${Object.entries(STATES).map(([value, label]) => option(value, label, selected.state))}
      </select>
    </label>
  </div>`;
}

function results() {
  const { total, records } = list.value;
  return html`
    ${table({
      label: "Rejected records",
      columns: [
        {
          title: "Origin",
          cell: (row) =>
            html`<a
              href=${link(selected.reason, row.origin)}
              data-origin=${row.origin}
              aria-current=${row.origin === selected.origin ? "true" : "false"}
              >${row.origin}</a
            >`,
        },
        { title: "Reason", cell: (row) => row.reason },
        { title: "Rejected", cell: (row) => timestamp(row.at) },
        { title: "State", cell: (row) => (row.is_replayed ? "replayed" : "waiting") },
        { title: "Message", cell: (row) => html`<span class="message">${row.message}</span>` },
      ],
      rows: records,
      key: (row) => row.origin,
      empty: "No matching records.",
    })}
    ${total > records.length
      ? html`<p class="hint">Showing the newest ${count(records.length)} of ${count(total)}.</p>`
      : nothing}
  `;
}

function recordDetails() {
  const loaded = record.value;
  return html`<section class="card" aria-labelledby="record-title">
    <header class="card-header">
      <h2 id="record-title" tabindex="-1">${selected.origin}</h2>
      <div class="card-tools">
        ${loaded && !loaded.is_replayed && loaded.reason !== FOREIGN
          ? replayButton(1, "Replay this record", {
              body: { origins: [loaded.origin] },
              description: `the record ${loaded.origin}`,
            })
          : nothing}
        <a class="button-plain" href=${link(selected.reason)}>Close</a>
      </div>
    </header>
    ${errorNotice(record.problem, loadRecord)} ${loaded ? content(loaded) : loading(record.isLoading)}
  </section>`;
}

function content(loaded) {
  return html`
    <p class="notice notice-warning">${icon("degraded")} ${loaded.message}</p>
    ${facts([
      ["Reason", loaded.reason],
      ["Rejected", timestamp(loaded.at)],
      ["State", loaded.is_replayed ? "replayed" : "waiting"],
      ["Key", loaded.key ?? NONE],
      ...(loaded.headers ?? []).map(([name, value]) => [`Header ${name}`, value ?? NONE]),
    ])}
    ${loaded.masked ? maskedHint() : nothing}
    <h3>Fields</h3>
    ${loaded.fields
      ? fields(loaded.fields)
      : html`<p class="hint">${loaded.decoding_error ?? "The value has no fields."}</p>`}
    <h3>Raw value</h3>
    <pre class="schema raw" tabindex="0" role="region" aria-label="Raw value">${loaded.value ?? "null"}</pre>
  `;
}

function replayButton(number, text, proposal, label = text) {
  if (!login.may("replay") || number === 0) return nothing;
  const open = () => {
    proposed = proposal;
    redraw();
    requestAnimationFrame(() => document.querySelector("#replay-dialog").showModal());
  };
  return html`<button type="button" class="button-plain" aria-label=${label} @click=${open}>${text}</button>`;
}

function replayDialog() {
  if (!login.may("replay")) return nothing;
  const submit = async (event) => {
    event.preventDefault();
    document.querySelector("#replay-dialog").close();
    await replay.fetch(() => request("/api/replays", { body: proposed.body }));
  };
  const cancel = () => document.querySelector("#replay-dialog").close();
  return html`<dialog id="replay-dialog" aria-labelledby="replay-title">
    <form method="dialog" @submit=${submit}>
      <h2 id="replay-title">Replay ${proposed?.description}?</h2>
      <p>
        The records are sent to their topic again, unchanged. Fix the cause first: records that still break a rule are
        rejected again. No member is counted twice.
      </p>
      <div class="dialog-tools">
        <button type="button" class="button-plain" @click=${cancel}>Cancel</button>
        <button type="submit" class="button">Replay</button>
      </div>
    </form>
  </dialog>`;
}

function replayResult() {
  if (replay.problem) return errorNotice(replay.problem);
  if (replay.isLoading) return html`<p class="notice" role="status">Replaying …</p>`;
  if (!replay.value) return nothing;
  const { sent, erased, landed } = replay.value;
  const parts = [
    `${countOf(sent, "record")} replayed`,
    ...(landed ? [`${countOf(landed, "member")} rejected before landing now accepted`] : []),
    ...(erased ? [`${countOf(erased, "record")} of erased members skipped`] : []),
  ];
  return html`<p class="notice notice-success" role="status">${icon("up")} ${parts.join("; ")}.</p>`;
}
