// Rejected records: why, which, one of them, and how they are sent again.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { login } from "./login.js";
import { fields, maskedHint } from "./fields.js";
import { icon } from "./icons.js";
import { moment } from "./moments.js";
import { loading, problem } from "./notices.js";
import { count, countOf } from "./numbers.js";
import { redraw } from "./screen.js";
import { Answer, ask, path } from "./server.js";
import { station } from "./stations.js";
import { facts, table } from "./table.js";

const LIMIT = 100;
/** The reason of records that the stream did not write, which are never sent again. */
const FOREIGN = "foreign";
const STATES = { waiting: "Waiting", replayed: "Replayed", all: "All" };

const list = new Answer();
const record = new Answer();
const replay = new Answer();
const chosen = { reason: "", state: "waiting", origin: null };
let asking = null;
let counts = "";
/** The record that was open last, and where the focus goes when the page is drawn next. */
let left = null;
let focusDue = null;

export const rejected = {
  title: "Rejected",

  open([reason, origin]) {
    chosen.reason = reason && reason !== "all" ? reason : "";
    chosen.origin = origin || null;
    replay.clear();
    look();
    if (chosen.origin) lookAt();
    else record.clear();
    if (chosen.origin !== left) focusDue = chosen.origin ? "#record-title" : `[data-origin="${CSS.escape(left)}"]`;
    left = chosen.origin;
  },

  drawn(main) {
    const target = focusDue && main.querySelector(focusDue);
    if (!target) return;
    focusDue = null;
    target.focus();
  },

  close() {
    left = null;
    focusDue = null;
  },

  changed() {
    const told = JSON.stringify(station("rejected").detail);
    if (told === counts) return;
    counts = told;
    look();
    if (chosen.origin) lookAt();
  },

  template() {
    return html`
      <h1 tabindex="-1">Rejected</h1>
      <p class="lead">
        What broke a rule is kept with the reason, and can be sent again once the cause is mended.
      </p>
      ${outcome()} ${chosen.origin ? detail() : nothing} ${reasons()} ${filters()} ${problem(list.problem, look)}
      ${list.value ? results() : loading(list.isUnderWay)} ${confirmation()}
    `;
  },
};

function look() {
  list.fetch(() => ask(path("/api/rejected", { reason: chosen.reason, state: chosen.state, limit: LIMIT })));
}

function lookAt() {
  if (record.value?.origin !== chosen.origin) record.value = null;
  record.fetch(() => ask(`/api/rejected/${encodeURIComponent(chosen.origin)}`));
}

function link(reason, origin) {
  const base = `#/rejected/${encodeURIComponent(reason || "all")}`;
  return origin ? `${base}/${encodeURIComponent(origin)}` : base;
}

function reasons() {
  const all = station("rejected").detail?.by_reason ?? [];
  const { complaint, means, state } = station("rejected");
  const trouble =
    state === "down" ? html`<p class="notice notice-bad">${icon("down")} ${complaint} ${means}</p>` : nothing;
  const waiting = all.reduce((sum, one) => sum + replayable(one), 0);
  return html`${trouble}
    <section class="card" aria-labelledby="reasons-title">
      <header class="card-header">
        <h2 id="reasons-title">Reasons</h2>
        <div class="card-tools">
          ${replayButton(waiting, `Replay all ${count(waiting)}`, {
            body: { everything: true },
            what: `all ${countOf(waiting, "waiting record")}`,
          })}
        </div>
      </header>
      ${login.may("replay")
        ? nothing
        : html`<p class="hint">This login may look only; the login <strong>operator</strong> may replay.</p>`}
      ${all.some((one) => one.before_landing)
        ? html`<p class="hint">
            What was rejected before landing never came to a topic: it is counted here, and not among the records below.
          </p>`
        : nothing}
      ${table({
        label: "Reasons with counts",
        columns: [
          {
            title: "Reason",
            cell: (one) =>
              html`<a href=${link(one.reason)} aria-current=${one.reason === chosen.reason ? "true" : "false"}>
                ${one.reason}
              </a>`,
          },
          { title: "Waiting", cell: (one) => count(one.waiting), isNumber: true },
          { title: "Replayed", cell: (one) => count(one.replayed), isNumber: true },
          { title: "Before landing", cell: (one) => count(one.before_landing), isNumber: true },
          ...(login.may("replay")
            ? [
                {
                  title: "Again",
                  cell: (one) =>
                    replayButton(
                      replayable(one),
                      "Replay",
                      {
                        body: { reason: one.reason },
                        what: `${countOf(replayable(one), "record")} rejected for ${one.reason}`,
                      },
                      `Replay ${one.reason}`,
                    ),
                },
              ]
            : []),
        ],
        rows: all,
        key: (one) => one.reason,
        empty: "Nothing was rejected. Good.",
      })}
    </section>`;
}

function replayable({ reason, waiting, before_landing: beforeLanding }) {
  return reason === FOREIGN ? 0 : waiting + beforeLanding;
}

function filters() {
  const all = station("rejected").detail?.by_reason ?? [];
  const known = [...new Set([...all.map((one) => one.reason), ...(chosen.reason ? [chosen.reason] : [])])];
  const option = (value, words, current) => html`<option value=${value} ?selected=${value === current}>${words}</option>`;
  const chooseState = (event) => {
    chosen.state = event.target.value;
    look();
  };
  return html`<div class="form" role="group" aria-label="Which records">
    <label>
      Reason
      <select @change=${(event) => (location.hash = link(event.target.value))}>
        ${option("", "All", chosen.reason)} ${known.map((one) => option(one, one, chosen.reason))}
      </select>
    </label>
    <label>
      State
      <select @change=${chooseState}>
        ${Object.entries(STATES).map(([value, words]) => option(value, words, chosen.state))}
      </select>
    </label>
  </div>`;
}

function results() {
  const { of, records } = list.value;
  return html`
    ${table({
      label: "Rejected records",
      columns: [
        {
          title: "Origin",
          cell: (one) =>
            html`<a
              href=${link(chosen.reason, one.origin)}
              data-origin=${one.origin}
              aria-current=${one.origin === chosen.origin ? "true" : "false"}
              >${one.origin}</a
            >`,
        },
        { title: "Reason", cell: (one) => one.reason },
        { title: "Rejected", cell: (one) => moment(one.at) },
        { title: "State", cell: (one) => (one.is_replayed ? "replayed" : "waiting") },
        { title: "Why", cell: (one) => html`<span class="message">${one.message}</span>` },
      ],
      rows: records,
      key: (one) => one.origin,
      empty: "No such record.",
    })}
    ${of > records.length ? html`<p class="hint">The newest ${count(records.length)} of ${count(of)}.</p>` : nothing}
  `;
}

function detail() {
  const one = record.value;
  return html`<section class="card" aria-labelledby="record-title">
    <header class="card-header">
      <h2 id="record-title" tabindex="-1">${chosen.origin}</h2>
      <div class="card-tools">
        ${one && !one.is_replayed && one.reason !== FOREIGN
          ? replayButton(1, "Replay this record", { body: { origins: [one.origin] }, what: `the record ${one.origin}` })
          : nothing}
        <a class="button-plain" href=${link(chosen.reason)}>Close</a>
      </div>
    </header>
    ${problem(record.problem, lookAt)} ${one ? content(one) : loading(record.isUnderWay)}
  </section>`;
}

function content(one) {
  return html`
    <p class="notice notice-warning">${icon("degraded")} ${one.message}</p>
    ${facts([
      ["Reason", one.reason],
      ["Rejected", moment(one.at)],
      ["State", one.is_replayed ? "replayed" : "waiting"],
      ["Key", one.key ?? "–"],
      ...(one.headers ?? []).map(([name, value]) => [`Header ${name}`, value ?? "–"]),
    ])}
    ${one.masked ? maskedHint() : nothing}
    <h3>Fields</h3>
    ${one.fields ? fields(one.fields) : html`<p class="hint">${one.unreadable ?? "It has none that can be read."}</p>`}
    <h3>As it came</h3>
    <pre class="schema raw" tabindex="0" role="region" aria-label="The value as it came">${one.value ?? "nothing"}</pre>
  `;
}

function replayButton(number, words, wish, label = words) {
  if (!login.may("replay") || number === 0) return nothing;
  const open = () => {
    asking = wish;
    redraw();
    requestAnimationFrame(() => document.querySelector("#replay-dialog").showModal());
  };
  return html`<button type="button" class="button-plain" aria-label=${label} @click=${open}>${words}</button>`;
}

function confirmation() {
  if (!login.may("replay")) return nothing;
  const send = async (event) => {
    event.preventDefault();
    document.querySelector("#replay-dialog").close();
    await replay.fetch(() => ask("/api/replays", { body: asking.body }));
  };
  const cancel = () => document.querySelector("#replay-dialog").close();
  return html`<dialog id="replay-dialog" aria-labelledby="replay-title">
    <form method="dialog" @submit=${send}>
      <h2 id="replay-title">Replay ${asking?.what}?</h2>
      <p>
        They go to their topic again, as they came. Replay once the cause is mended: what still breaks a rule is rejected
        again. No member is counted twice.
      </p>
      <div class="dialog-tools">
        <button type="button" class="button-plain" @click=${cancel}>Cancel</button>
        <button type="submit" class="button">Replay</button>
      </div>
    </form>
  </dialog>`;
}

function outcome() {
  if (replay.problem) return problem(replay.problem);
  if (replay.isUnderWay) return html`<p class="notice" role="status">Replaying …</p>`;
  if (!replay.value) return nothing;
  const { sent, erased, landed } = replay.value;
  const words = [
    `${countOf(sent, "record")} sent again`,
    ...(landed ? [`${countOf(landed, "member")} accepted that had been rejected before landing`] : []),
    ...(erased ? [`${countOf(erased, "record")} left out because the member is erased`] : []),
  ];
  return html`<p class="notice notice-good" role="status">${icon("up")} ${words.join("; ")}.</p>`;
}
