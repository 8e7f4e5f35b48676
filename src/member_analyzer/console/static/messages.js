// The messages on the topics, decoded.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live as now } from "./events.js";
import { fields, maskedHint } from "./fields.js";
import { moment } from "./moments.js";
import { loading, problem } from "./notices.js";
import { bytes, count, countOf } from "./numbers.js";
import { redraw } from "./screen.js";
import { Answer, ask, path } from "./server.js";
import { table } from "./table.js";

const TOPICS = ["users", "users_rejected"];
const LIMITS = [20, 50, 100, 200];

const found = new Answer();
const opened = new Set();
const wanted = { topic: TOPICS[0], partition: "", from: "newest", offset: "0", time: "", limit: LIMITS[0] };

export const messages = {
  title: "Messages",

  open() {
    look();
  },

  template() {
    return html`
      <h1 tabindex="-1">Messages</h1>
      <p class="lead">What is on the topics, decoded with the schema that wrote it.</p>
      ${form()} ${problem(found.problem, look)} ${found.value ? results(found.value) : loading(found.isUnderWay)}
    `;
  },
};

function look() {
  const { topic, partition, from, offset, time, limit } = wanted;
  const start = {
    newest: { newest: 1 },
    offset: { offset },
    time: { time: time && new Date(time).toISOString() },
  }[from];
  opened.clear();
  found.fetch(() => ask(path("/api/messages", { topic, partition, ...start, limit })));
}

function form() {
  const submit = (event) => {
    event.preventDefault();
    look();
  };
  const change = (name) => (event) => {
    wanted[name] = event.target.value;
    if (name === "topic") wanted.partition = "";
    if (name === "from" && wanted.from === "offset" && wanted.partition === "") wanted.partition = "0";
    redraw();
  };
  const option = (value, words, chosen) => html`<option value=${value} ?selected=${value === chosen}>${words}</option>`;
  return html`<form class="form card" aria-label="Which messages" @submit=${submit}>
    <label>Topic <select @change=${change("topic")}>${TOPICS.map((one) => option(one, one, wanted.topic))}</select></label>
    <label>
      Partition
      <select @change=${change("partition")}>
        ${wanted.from === "offset" ? nothing : option("", "All", wanted.partition)}
        ${partitions().map((one) => option(one, one, wanted.partition))}
      </select>
    </label>
    <label>
      From
      <select @change=${change("from")}>
        ${option("newest", "The newest", wanted.from)} ${option("offset", "An offset", wanted.from)}
        ${option("time", "A time", wanted.from)}
      </select>
    </label>
    ${wanted.from === "offset"
      ? html`<label>
          Offset <input type="number" min="0" required .value=${wanted.offset} @input=${change("offset")} />
        </label>`
      : nothing}
    ${wanted.from === "time"
      ? html`<label>
          Time <input type="datetime-local" step="1" required .value=${wanted.time} @input=${change("time")} />
        </label>`
      : nothing}
    <label>
      At most
      <select @change=${change("limit")}>
        ${LIMITS.map((one) => option(one, one, Number(wanted.limit)))}
      </select>
    </label>
    <button type="submit" class="button">Show</button>
  </form>`;
}

function partitions() {
  const topic = now.stations.get("kafka")?.detail?.topics?.find((one) => one.name === wanted.topic);
  const bounds = found.value?.topic === wanted.topic ? Object.keys(found.value.bounds) : [];
  const known = topic ? topic.partitions.map((one) => String(one.partition)) : bounds;
  return known.length ? known : ["0"];
}

function results({ topic, partition, bounds, messages: list, masked }) {
  return html`
    <div aria-busy=${found.isUnderWay}>
      <div class="results-head">
        <p class="hint">
          ${countOf(list.length, "message")} of ${topic}. ${Object.entries(bounds).map(
            ([one, [begin, end]]) => html`<span class="bound">Partition ${one}: ${count(begin)} to ${count(end)}</span>`,
          )}
        </p>
        ${pager(partition, bounds, list)}
      </div>
      ${masked ? maskedHint() : nothing}
      ${table({
        label: `Messages of ${topic}`,
        columns: [
          { title: "Place", cell: opener },
          { title: "Time", cell: (one) => moment(one.time) },
          { title: "Key", cell: (one) => html`<span class="clipped">${one.key ?? "–"}</span>` },
          { title: "What", cell: (one) => (one.error ? one.error : (one.value?.kind ?? one.value?.reason ?? "")) },
          { title: "Schema", cell: (one) => one.schema_id ?? "–", isNumber: true },
          { title: "Size", cell: (one) => bytes(one.bytes), isNumber: true },
        ],
        rows: list,
        key: placeOf,
        below: unfolded,
        empty: "No message there.",
      })}
    </div>
  `;
}

function placeOf(message) {
  return `${message.partition}:${message.offset}`;
}

function opener(message) {
  const place = placeOf(message);
  const isOpen = opened.has(place);
  const turn = () => {
    if (!opened.delete(place)) opened.add(place);
    redraw();
  };
  return html`<button
    type="button"
    class="opener"
    aria-expanded=${isOpen}
    aria-label="Partition ${message.partition}, offset ${message.offset}, fields"
    @click=${turn}
  >
    ${place}
  </button>`;
}

function unfolded(message) {
  if (!opened.has(placeOf(message))) return nothing;
  return html`<tr class="unfolded">
    <td colspan="6">
      ${message.error ? html`<p>${message.error}</p>` : nothing} ${message.value ? fields(message.value) : nothing}
    </td>
  </tr>`;
}

function pager(partition, bounds, list) {
  if (partition === null || partition === undefined || partition === "") {
    return html`<p class="hint">Choose a partition to page through it.</p>`;
  }
  const offsets = list.map((one) => one.offset);
  const [begin, end] = bounds[partition] ?? [0, 0];
  const oldest = Math.min(...offsets, end);
  const newest = Math.max(...offsets, begin - 1);
  const go = (offset, limit) => {
    Object.assign(wanted, { from: "offset", partition: String(partition), offset: String(offset) });
    found.fetch(() => ask(path("/api/messages", { topic: wanted.topic, partition, offset, limit })));
    opened.clear();
  };
  const limit = Number(wanted.limit);
  const older = Math.max(begin, oldest - limit);
  return html`<div class="pager" role="group" aria-label="Older and newer messages">
    <button type="button" class="button-plain" ?disabled=${oldest <= begin} @click=${() => go(older, oldest - older)}>
      Older
    </button>
    <button type="button" class="button-plain" ?disabled=${newest + 1 >= end} @click=${() => go(newest + 1, limit)}>
      Newer
    </button>
  </div>`;
}
