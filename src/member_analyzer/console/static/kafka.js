// Details of Kafka on the pipeline page: brokers, topics and consumers.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";
import { NONE, count, rate } from "./numbers.js";
import { redraw } from "./renderer.js";
import { table } from "./table.js";

const expanded = new Set();

export function kafka({ cluster, brokers = [], topics = [], groups = [] }) {
  return html`
    <h3>Brokers</h3>
    ${table({
      label: `Brokers of cluster ${cluster ?? ""}`,
      columns: [
        { title: "Broker", cell: (row) => row.id },
        { title: "Address", cell: (row) => `${row.host}:${row.port}` },
        { title: "Role", cell: (row) => (row.is_controller ? html`<strong>controller</strong>` : "broker") },
        { title: "Leader partitions", cell: (row) => count(row.leader_partitions), isNumber: true },
      ],
      rows: brokers,
      key: (row) => row.id,
    })}
    <h3>Topics</h3>
    ${table({
      label: "Topics",
      columns: [
        { title: "Topic", cell: (row) => expander(`topic ${row.name}`, row.name, "partitions") },
        { title: "Partitions", cell: (row) => count(row.partitions.length), isNumber: true },
        { title: "In-sync replicas", cell: topicReplicas },
        { title: "Records", cell: (row) => count(row.records), isNumber: true },
        { title: "Per second", cell: (row) => rate(row.rate), isNumber: true },
      ],
      rows: topics,
      key: (row) => row.name,
      below: (row) => expandedRow(`topic ${row.name}`, 5, () => partitions(row)),
    })}
    <h3>Consumers</h3>
    ${table({
      label: "Consumer groups and Spark queries",
      columns: [
        { title: "Consumer", cell: (row) => expander(`group ${row.name}`, row.name, "offsets") },
        { title: "Kind", cell: (row) => (row.kind === "spark" ? "Spark query" : "group") },
        { title: "State", cell: (row) => row.state ?? NONE },
        { title: "Lag", cell: (row) => count(row.lag), isNumber: true },
        { title: "Per second", cell: (row) => rate(row.rate), isNumber: true },
      ],
      rows: groups,
      key: (row) => row.name,
      empty: "No consumers.",
      below: (row) => expandedRow(`group ${row.name}`, 5, () => offsets(row)),
    })}
  `;
}

function partitions(topic) {
  return table({
    label: `Partitions of ${topic.name}`,
    columns: [
      { title: "Partition", cell: (row) => row.partition },
      { title: "Leader", cell: (row) => row.leader ?? NONE, isNumber: true },
      { title: "Replicas", cell: (row) => row.replicas.join(", ") },
      { title: "In sync", cell: (row) => replicas(row.in_sync.length, row.replicas.length, row.in_sync.join(", ")) },
      { title: "Start offset", cell: (row) => count(row.begin), isNumber: true },
      { title: "End offset", cell: (row) => count(row.end), isNumber: true },
      { title: "Per second", cell: (row) => rate(row.rate), isNumber: true },
    ],
    rows: topic.partitions,
    key: (row) => row.partition,
  });
}

function offsets(group) {
  return table({
    label: `Offsets of ${group.name}`,
    columns: [
      { title: "Topic", cell: (row) => row.topic },
      { title: "Partition", cell: (row) => row.partition, isNumber: true },
      { title: "Offset", cell: (row) => count(row.offset), isNumber: true },
      { title: "Lag", cell: (row) => count(row.lag), isNumber: true },
    ],
    rows: group.partitions ?? [],
    key: (row) => `${row.topic} ${row.partition}`,
  });
}

function topicReplicas(topic) {
  const total = topic.partitions.reduce((sum, partition) => sum + partition.replicas.length, 0);
  const inSync = topic.partitions.reduce((sum, partition) => sum + partition.in_sync.length, 0);
  return replicas(inSync, total, `${count(inSync)} of ${count(total)}`);
}

function replicas(inSync, total, text) {
  const state = inSync < total ? "degraded" : "up";
  return html`<span class="state state-${state}">
    ${icon(state)} ${text}${state === "degraded" ? " (under-replicated)" : nothing}
  </span>`;
}

function expander(key, title, content) {
  const toggle = () => {
    if (!expanded.delete(key)) expanded.add(key);
    redraw();
  };
  return html`<button
    type="button"
    class="expander"
    aria-expanded=${expanded.has(key)}
    aria-label="${title}, ${content}"
    @click=${toggle}
  >
    ${title}
  </button>`;
}

function expandedRow(key, columns, content) {
  return expanded.has(key)
    ? html`<tr class="expanded-row">
        <td colspan=${columns}>${content()}</td>
      </tr>`
    : nothing;
}
