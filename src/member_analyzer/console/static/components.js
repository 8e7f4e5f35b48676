// The components of the pipeline.

import { live } from "./events.js";

/** By name; `to` are the components that receive its members. */
export const COMPONENTS = {
  "user-api": { title: "User API", description: "source of members", to: ["airflow"] },
  airflow: { title: "Airflow", description: "fetches members, recounts, draws graphs", to: ["landing"] },
  collector: { title: "Collector", description: "accepts members over HTTP", to: ["landing"] },
  landing: { title: "Landing", description: "stores accepted members in PostgreSQL", to: ["kafka"] },
  kafka: { title: "Kafka", description: "carries member events", to: ["spark"] },
  registry: { title: "Schema Registry", description: "stores the schemas of the events", to: [] },
  zookeeper: { title: "ZooKeeper", description: "coordinates the Kafka brokers", to: [] },
  spark: { title: "Spark", description: "validates, deduplicates and counts", to: ["cassandra", "rejected"] },
  cassandra: { title: "Cassandra", description: "stores members and counts", to: [] },
  rejected: { title: "Rejected", description: "dead letter topic, with reasons", to: [] },
};

const STATES = { up: "Up", degraded: "Degraded", down: "Down", unknown: "Not checked" };
const BY_SEVERITY = ["down", "degraded", "unknown", "up"];

export function stateText(state) {
  return STATES[state] ?? state;
}

/** The last received status of a component. */
export function component(name) {
  return live.components.get(name) ?? { name, state: "unknown", facts: [], detail: null };
}

/** The worst state of all components, as {state, text}. */
export function summarize() {
  const all = Object.keys(COMPONENTS).map(component);
  const state = BY_SEVERITY.find((candidate) => all.some((one) => one.state === candidate));
  const titles = all.filter((one) => one.state === state).map((one) => COMPONENTS[one.name].title);
  const names = titles.length > 2 ? `${titles.length} components` : titles.join(", ");
  const texts = {
    up: "All components up",
    unknown: "Checking …",
    down: `Down: ${names}`,
    degraded: `Degraded: ${names}`,
  };
  return { state, text: texts[state] };
}
