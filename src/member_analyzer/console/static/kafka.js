// Kafka's brokers, topics and consumer groups.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";
import { NONE, count, countOf, rate } from "./numbers.js";
import { redraw } from "./screen.js";
import { table } from "./table.js";

const opened = new Set();

export function kafka({ cluster, brokers = [], topics = [], groups = [] }) {
  return html`
    <h3>Brokers</h3>
    ${table({
      label: `Brokers of cluster ${cluster ?? ""}`,
      columns: [
        { title: "Broker", cell: (one) => one.id },
        { title: "Address", cell: (one) => `${one.host}:${one.port}` },
        { title: "Role", cell: (one) => (one.is_controller ? html`<strong>controller</strong>` : "broker") },
        { title: "Leads", cell: (one) => countOf(one.leads, "partition"), isNumber: true },
      ],
      rows: brokers,
      key: (one) => one.id,
    })}
    <h3>Topics</h3>
    ${table({
      label: "Topics",
      columns: [
        { title: "Topic", cell: (one) => opener(`topic ${one.name}`, one.name, "partitions") },
        { title: "Partitions", cell: (one) => count(one.partitions.length), isNumber: true },
        { title: "Replicas in sync", cell: inSync },
        { title: "Records", cell: (one) => count(one.records), isNumber: true },
        { title: "A second", cell: (one) => rate(one.rate), isNumber: true },
      ],
      rows: topics,
      key: (one) => one.name,
      below: (one) => unfolded(`topic ${one.name}`, 5, () => partitions(one)),
    })}
    <h3>Consumers</h3>
    ${table({
      label: "Consumer groups and Spark's query",
      columns: [
        { title: "Consumer", cell: (one) => opener(`group ${one.name}`, one.name, "offsets") },
        { title: "Kind", cell: (one) => (one.kind === "spark" ? "Spark query" : "group") },
        { title: "State", cell: (one) => one.state ?? NONE },
        { title: "Behind", cell: (one) => count(one.lag), isNumber: true },
        { title: "A second", cell: (one) => rate(one.rate), isNumber: true },
      ],
      rows: groups,
      key: (one) => one.name,
      empty: "Nobody reads.",
      below: (one) => unfolded(`group ${one.name}`, 5, () => offsets(one)),
    })}
  `;
}

function partitions(topic) {
  return table({
    label: `Partitions of ${topic.name}`,
    columns: [
      { title: "Partition", cell: (one) => one.partition },
      { title: "Leader", cell: (one) => one.leader ?? NONE, isNumber: true },
      { title: "Replicas", cell: (one) => one.replicas.join(", ") },
      { title: "In sync", cell: (one) => inSyncOf(one.in_sync.length, one.replicas.length, one.in_sync.join(", ")) },
      { title: "From", cell: (one) => count(one.begin), isNumber: true },
      { title: "To", cell: (one) => count(one.end), isNumber: true },
      { title: "A second", cell: (one) => rate(one.rate), isNumber: true },
    ],
    rows: topic.partitions,
    key: (one) => one.partition,
  });
}

function offsets(group) {
  return table({
    label: `Offsets of ${group.name}`,
    columns: [
      { title: "Topic", cell: (one) => one.topic },
      { title: "Partition", cell: (one) => one.partition, isNumber: true },
      { title: "Offset", cell: (one) => count(one.offset), isNumber: true },
      { title: "Behind", cell: (one) => count(one.lag), isNumber: true },
    ],
    rows: group.partitions ?? [],
    key: (one) => `${one.topic} ${one.partition}`,
  });
}

function inSync(topic) {
  const replicas = topic.partitions.reduce((sum, one) => sum + one.replicas.length, 0);
  const synced = topic.partitions.reduce((sum, one) => sum + one.in_sync.length, 0);
  return inSyncOf(synced, replicas, `${count(synced)} of ${count(replicas)}`);
}

function inSyncOf(synced, replicas, words) {
  const state = synced < replicas ? "degraded" : "up";
  return html`<span class="state state-${state}">
    ${icon(state)} ${words}${state === "degraded" ? " (under-replicated)" : nothing}
  </span>`;
}

function opener(key, title, what) {
  const isOpen = opened.has(key);
  const turn = () => {
    if (!opened.delete(key)) opened.add(key);
    redraw();
  };
  return html`<button
    type="button"
    class="opener"
    aria-expanded=${isOpen}
    aria-label="${title}, ${what}"
    @click=${turn}
  >
    ${title}
  </button>`;
}

function unfolded(key, columns, content) {
  return opened.has(key)
    ? html`<tr class="unfolded">
        <td colspan=${columns}>${content()}</td>
      </tr>`
    : nothing;
}
