// Details of each component on the pipeline page.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";
import { kafka } from "./kafka.js";
import { NONE, count, rate } from "./numbers.js";
import { facts, table } from "./table.js";
import { duration, timestamp } from "./times.js";

const TEMPLATES = { airflow, kafka, registry, zookeeper, spark, cassandra, rejected };

/** The template for the `detail` of a component's status. */
export function details(name, detail) {
  return TEMPLATES[name]?.(detail) ?? nothing;
}

const RUN_STATES = { success: "up", failed: "down", running: "unknown", queued: "unknown" };

function airflow({ components = [], runs = [] }) {
  return html`
    <h3>Components</h3>
    ${table({
      label: "Airflow components",
      columns: [
        { title: "Component", cell: (row) => row.name },
        {
          title: "Health",
          cell: (row) => stateBadge(row.status === "healthy" ? "up" : "down", row.status ?? "unknown"),
        },
      ],
      rows: components,
      key: (row) => row.name,
    })}
    <h3>Last runs</h3>
    ${table({
      label: "Last DAG runs",
      columns: [
        { title: "DAG", cell: (row) => row.dag },
        { title: "Run", cell: (row) => html`<code>${row.run}</code>` },
        { title: "State", cell: (row) => stateBadge(RUN_STATES[row.state] ?? "unknown", row.state) },
        { title: "Started", cell: (row) => timestamp(row.started) },
        { title: "Duration", cell: (row) => duration(row.started, row.ended), isNumber: true },
      ],
      rows: runs,
      key: (row) => `${row.dag} ${row.run}`,
      empty: "No DAG has run yet.",
    })}
  `;
}

function registry({ subjects = [] }) {
  return html`
    <h3>Subjects</h3>
    ${table({
      label: "Subjects of the registry",
      columns: [
        { title: "Subject", cell: (row) => html`<a href="#/registry/${encodeURIComponent(row.name)}">${row.name}</a>` },
        { title: "Compatibility", cell: (row) => row.compatibility },
        { title: "Versions", cell: (row) => count(row.versions.length), isNumber: true },
        { title: "Schema ids", cell: (row) => row.versions.map((version) => version.id).join(", ") },
      ],
      rows: subjects,
      key: (row) => row.name,
      empty: "No schemas are registered.",
    })}
  `;
}

function zookeeper({ nodes = [] }) {
  return html`
    <h3>Ensemble</h3>
    ${table({
      label: "ZooKeeper nodes",
      columns: [
        { title: "Node", cell: (row) => row.name },
        { title: "State", cell: (row) => upOrDown(row.is_up) },
        { title: "Mode", cell: (row) => row.mode ?? NONE },
        { title: "Version", cell: (row) => row.version ?? NONE },
        { title: "Connections", cell: (row) => count(row.connections), isNumber: true },
        { title: "Latency", cell: (row) => (row.latency_ms === null ? NONE : `${row.latency_ms} ms`), isNumber: true },
      ],
      rows: nodes,
      key: (row) => row.name,
    })}
  `;
}

function spark({ application, started, queries = [] }) {
  return html`
    ${facts([
      ["Application", application ?? NONE],
      ["Started", timestamp(started)],
    ])}
    <h3>Queries</h3>
    ${table({
      label: "Spark queries",
      columns: [
        { title: "Query", cell: (row) => row.name },
        { title: "Lag", cell: (row) => count(row.lag), isNumber: true },
        { title: "Per second", cell: (row) => rate(row.rate), isNumber: true },
      ],
      rows: queries,
      key: (row) => row.name,
    })}
  `;
}

function cassandra({ nodes = [], created_users_estimate: estimate }) {
  return html`
    ${facts([["Estimated rows in created_users", count(estimate)]])}
    <h3>Nodes</h3>
    ${table({
      label: "Cassandra nodes",
      columns: [
        { title: "Address", cell: (row) => row.address },
        { title: "State", cell: (row) => upOrDown(row.is_up) },
        { title: "Datacenter", cell: (row) => row.datacenter ?? NONE },
        { title: "Rack", cell: (row) => row.rack ?? NONE },
        { title: "Version", cell: (row) => row.version ?? NONE },
      ],
      rows: nodes,
      key: (row) => row.address,
    })}
  `;
}

function rejected({ by_reason: reasons = [] }) {
  return html`
    <h3>Reasons</h3>
    ${table({
      label: "Rejected records by reason",
      columns: [
        { title: "Reason", cell: (row) => html`<a href="#/rejected/${encodeURIComponent(row.reason)}">${row.reason}</a>` },
        { title: "Waiting", cell: (row) => count(row.waiting), isNumber: true },
        { title: "Replayed", cell: (row) => count(row.replayed), isNumber: true },
        { title: "Before landing", cell: (row) => count(row.before_landing), isNumber: true },
      ],
      rows: reasons,
      key: (row) => row.reason,
      empty: "No records were rejected.",
    })}
  `;
}

function upOrDown(isUp) {
  return isUp ? stateBadge("up", "up") : stateBadge("down", "down");
}

function stateBadge(state, text) {
  return html`<span class="state state-${state}">${icon(state)} ${text}</span>`;
}
