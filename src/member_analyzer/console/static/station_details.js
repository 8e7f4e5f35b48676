// What is inside each station.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { icon } from "./icons.js";
import { kafka } from "./kafka.js";
import { lasted, moment } from "./moments.js";
import { NONE, count, rate } from "./numbers.js";
import { facts, table } from "./table.js";

const DETAILS = { airflow, kafka, registry, zookeeper, spark, cassandra, rejected };

/** A station's detail, as the server tells it; nothing for one that has none. */
export function details(name, detail) {
  return DETAILS[name]?.(detail) ?? nothing;
}

const RUN_STATES = { success: "up", failed: "down", running: "unknown", queued: "unknown" };

function airflow({ components = [], runs = [] }) {
  return html`
    <h3>Components</h3>
    ${table({
      label: "Airflow's components",
      columns: [
        { title: "Component", cell: (one) => one.name },
        { title: "Health", cell: (one) => told(one.status === "healthy" ? "up" : "down", one.status ?? "not heard of") },
      ],
      rows: components,
      key: (one) => one.name,
    })}
    <h3>Last runs</h3>
    ${table({
      label: "Airflow's last runs",
      columns: [
        { title: "DAG", cell: (one) => one.dag },
        { title: "Run", cell: (one) => html`<code>${one.run}</code>` },
        { title: "State", cell: (one) => told(RUN_STATES[one.state] ?? "unknown", one.state) },
        { title: "Started", cell: (one) => moment(one.started) },
        { title: "Took", cell: (one) => lasted(one.started, one.ended), isNumber: true },
      ],
      rows: runs,
      key: (one) => `${one.dag} ${one.run}`,
      empty: "No DAG has run yet.",
    })}
  `;
}

function registry({ subjects = [] }) {
  return html`
    <h3>Subjects</h3>
    ${table({
      label: "The registry's subjects",
      columns: [
        { title: "Subject", cell: (one) => html`<a href="#/registry/${encodeURIComponent(one.name)}">${one.name}</a>` },
        { title: "Compatibility", cell: (one) => one.compatibility },
        { title: "Versions", cell: (one) => count(one.versions.length), isNumber: true },
        { title: "Ids", cell: (one) => one.versions.map((version) => version.id).join(", ") },
      ],
      rows: subjects,
      key: (one) => one.name,
      empty: "No schema is registered.",
    })}
  `;
}

function zookeeper({ nodes = [] }) {
  return html`
    <h3>Ensemble</h3>
    ${table({
      label: "ZooKeeper's nodes",
      columns: [
        { title: "Node", cell: (one) => one.name },
        { title: "State", cell: (one) => upOrDown(one.is_up) },
        { title: "Mode", cell: (one) => one.mode ?? NONE },
        { title: "Version", cell: (one) => one.version ?? NONE },
        { title: "Connections", cell: (one) => count(one.connections), isNumber: true },
        { title: "Latency", cell: (one) => (one.latency_ms === null ? NONE : `${one.latency_ms} ms`), isNumber: true },
      ],
      rows: nodes,
      key: (one) => one.name,
    })}
  `;
}

function spark({ application, started, queries = [] }) {
  return html`
    ${facts([
      ["Application", application ?? NONE],
      ["Started", moment(started)],
    ])}
    <h3>Queries</h3>
    ${table({
      label: "Spark's query",
      columns: [
        { title: "Query", cell: (one) => one.name },
        { title: "Behind", cell: (one) => count(one.lag), isNumber: true },
        { title: "A second", cell: (one) => rate(one.rate), isNumber: true },
      ],
      rows: queries,
      key: (one) => one.name,
    })}
  `;
}

function cassandra({ nodes = [], created_users_estimate: estimate }) {
  return html`
    ${facts([["Rows of created_users, estimated", count(estimate)]])}
    <h3>Nodes</h3>
    ${table({
      label: "Cassandra's nodes",
      columns: [
        { title: "Address", cell: (one) => one.address },
        { title: "State", cell: (one) => upOrDown(one.is_up) },
        { title: "Datacenter", cell: (one) => one.datacenter ?? NONE },
        { title: "Rack", cell: (one) => one.rack ?? NONE },
        { title: "Version", cell: (one) => one.version ?? NONE },
      ],
      rows: nodes,
      key: (one) => one.address,
    })}
  `;
}

function rejected({ by_reason: reasons = [] }) {
  return html`
    <h3>Reasons</h3>
    ${table({
      label: "Rejected records by reason",
      columns: [
        { title: "Reason", cell: (one) => html`<a href="#/rejected/${encodeURIComponent(one.reason)}">${one.reason}</a>` },
        { title: "Waiting", cell: (one) => count(one.waiting), isNumber: true },
        { title: "Replayed", cell: (one) => count(one.replayed), isNumber: true },
        { title: "Before landing", cell: (one) => count(one.before_landing), isNumber: true },
      ],
      rows: reasons,
      key: (one) => one.reason,
      empty: "Nothing was rejected.",
    })}
  `;
}

function upOrDown(isUp) {
  return isUp ? told("up", "up") : told("down", "down");
}

function told(state, words) {
  return html`<span class="state state-${state}">${icon(state)} ${words}</span>`;
}
