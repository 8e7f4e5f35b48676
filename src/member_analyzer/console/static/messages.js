// The messages page: browses the records of a topic.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live } from "./events.js";
import { fields, maskedHint } from "./fields.js";
import { errorNotice, loading } from "./notices.js";
import { NONE, bytes, count, countOf } from "./numbers.js";
import { redraw } from "./renderer.js";
import { Resource, request, withParameters } from "./server.js";
import { table } from "./table.js";
import { timestamp } from "./times.js";

const TOPICS = ["users", "users_rejected"];
const LIMITS = [20, 50, 100, 200];

const page = new Resource();
const expanded = new Set();
const query = { topic: TOPICS[0], partition: "", from: "newest", offset: "0", time: "", limit: LIMITS[0] };

export const messages = {
  title: "Messages",

  open() {
    load();
  },

  template() {
    return html`
      <h1 tabindex="-1">Messages</h1>
      <p class="lead">Records of the topics, decoded with their writer schemas.</p>
      ${form()} ${errorNotice(page.problem, load)} ${page.value ? results(page.value) : loading(page.isLoading)}
    `;
  },
};

function load() {
  const { topic, partition, from, offset, time, limit } = query;
  const start = {
    newest: {},
    offset: { offset },
    time: { time: time && new Date(time).toISOString() },
  }[from];
  expanded.clear();
  page.fetch(() => request(withParameters("/api/messages", { topic, partition, ...start, limit })));
}

function form() {
  const submit = (event) => {
    event.preventDefault();
    load();
  };
  const change = (name) => (event) => {
    query[name] = event.target.value;
    if (name === "topic") query.partition = "";
    if (name === "from" && query.from === "offset" && query.partition === "") query.partition = "0";
    redraw();
  };
  const option = (value, label, selected) => html`<option value=${value} ?selected=${value === selected}>${label}</option>`;
  return html`<form class="form card" aria-label="Message filter" @submit=${submit}>
    <label>
      Topic
      <select @change=${change("topic")}>
        ${TOPICS.map((topic) => option(topic, topic, query.topic))}
      </select>
    </label>
    <label>
      Partition
      <select @change=${change("partition")}>
        ${query.from === "offset" ? nothing : option("", "All", query.partition)}
        ${partitions().map((partition) => option(partition, partition, query.partition))}
      </select>
    </label>
    <label>
      From
      <select @change=${change("from")}>
        ${option("newest", "Newest", query.from)} ${option("offset", "Offset", query.from)}
        ${option("time", "Time", query.from)}
      </select>
    </label>
    ${query.from === "offset"
      ? html`<label>
          Offset <input type="number" min="0" required .value=${query.offset} @input=${change("offset")} />
        </label>`
      : nothing}
    ${query.from === "time"
      ? html`<label>
          Time <input type="datetime-local" step="1" required .value=${query.time} @input=${change("time")} />
        </label>`
      : nothing}
    <label>
      Limit
      <select @change=${change("limit")}>
        ${LIMITS.map((limit) => option(limit, limit, Number(query.limit)))}
      </select>
    </label>
    <button type="submit" class="button">Show</button>
  </form>`;
}

function partitions() {
  const topic = live.components.get("kafka")?.detail?.topics?.find(({ name }) => name === query.topic);
  const bounds = page.value?.topic === query.topic ? Object.keys(page.value.bounds) : [];
  const known = topic ? topic.partitions.map(({ partition }) => String(partition)) : bounds;
  return known.length ? known : ["0"];
}

function results({ topic, partition, bounds, messages: rows, masked }) {
  return html`
    <div aria-busy=${page.isLoading}>
      <div class="results-head">
        <p class="hint">
          ${countOf(rows.length, "message")} of ${topic}. ${Object.entries(bounds).map(
            ([number, [begin, end]]) =>
              html`<span class="bound">Partition ${number}: ${count(begin)} to ${count(end)}</span>`,
          )}
        </p>
        ${pager(partition, bounds, rows)}
      </div>
      ${masked ? maskedHint() : nothing}
      ${table({
        label: `Messages of ${topic}`,
        columns: [
          { title: "Position", cell: expander },
          { title: "Time", cell: (row) => timestamp(row.time) },
          { title: "Key", cell: (row) => html`<span class="truncated">${row.key ?? NONE}</span>` },
          { title: "Summary", cell: (row) => row.error ?? row.value?.kind ?? row.value?.reason ?? "" },
          { title: "Schema", cell: (row) => row.schema_id ?? NONE, isNumber: true },
          { title: "Size", cell: (row) => bytes(row.bytes), isNumber: true },
        ],
        rows,
        key: positionOf,
        below: expandedRow,
        empty: "No messages found.",
      })}
    </div>
  `;
}

function positionOf(message) {
  return `${message.partition}:${message.offset}`;
}

function expander(message) {
  const position = positionOf(message);
  const toggle = () => {
    if (!expanded.delete(position)) expanded.add(position);
    redraw();
  };
  return html`<button
    type="button"
    class="expander"
    aria-expanded=${expanded.has(position)}
    aria-label="Partition ${message.partition}, offset ${message.offset}, fields"
    @click=${toggle}
  >
    ${position}
  </button>`;
}

function expandedRow(message) {
  if (!expanded.has(positionOf(message))) return nothing;
  return html`<tr class="expanded-row">
    <td colspan="6">
      ${message.error ? html`<p>${message.error}</p>` : nothing} ${message.value ? fields(message.value) : nothing}
    </td>
  </tr>`;
}

function pager(partition, bounds, rows) {
  if (partition === null || partition === undefined || partition === "") {
    return html`<p class="hint">Select a partition to page through it.</p>`;
  }
  const offsets = rows.map((row) => row.offset);
  const [begin, end] = bounds[partition] ?? [0, 0];
  const oldest = Math.min(...offsets, end);
  const newest = Math.max(...offsets, begin - 1);
  const open = (offset, limit) => {
    Object.assign(query, { from: "offset", partition: String(partition), offset: String(offset) });
    page.fetch(() => request(withParameters("/api/messages", { topic: query.topic, partition, offset, limit })));
    expanded.clear();
  };
  const limit = Number(query.limit);
  const older = Math.max(begin, oldest - limit);
  return html`<div class="pager" role="group" aria-label="Older and newer messages">
    <button type="button" class="button-plain" ?disabled=${oldest <= begin} @click=${() => open(older, oldest - older)}>
      Older
    </button>
    <button type="button" class="button-plain" ?disabled=${newest + 1 >= end} @click=${() => open(newest + 1, limit)}>
      Newer
    </button>
  </div>`;
}
