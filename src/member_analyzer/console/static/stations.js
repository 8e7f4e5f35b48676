// The stations on the way of a member.

import { live } from "./events.js";

/** What each is for; `to` are the stations that it hands members to. */
export const STATIONS = {
  "user-api": { title: "User API", purpose: "where members are taken from", to: ["airflow"] },
  airflow: { title: "Airflow", purpose: "takes pages of members, recounts, draws", to: ["landing"] },
  collector: { title: "Collector", purpose: "takes members that are sent over HTTP", to: ["landing"] },
  landing: { title: "Landing", purpose: "PostgreSQL, where members are accepted", to: ["kafka"] },
  kafka: { title: "Kafka", purpose: "carries what happens to members", to: ["spark"] },
  registry: { title: "Schema Registry", purpose: "knows how members are written", to: [] },
  zookeeper: { title: "ZooKeeper", purpose: "keeps Kafka's brokers together", to: [] },
  spark: { title: "Spark", purpose: "checks each member and counts it once", to: ["cassandra", "rejected"] },
  cassandra: { title: "Cassandra", purpose: "holds members and counts", to: [] },
  rejected: { title: "Rejected", purpose: "keeps what broke a rule, with the reason", to: [] },
};

const STATES = { up: "Up", degraded: "Degraded", down: "Down", unknown: "Not looked at yet" };
const WORST_FIRST = ["down", "degraded", "unknown", "up"];

export function stateText(state) {
  return STATES[state] ?? state;
}

/** What is known of a station; one that nothing was heard of yet is unknown. */
export function station(name) {
  return live.stations.get(name) ?? { name, state: "unknown", facts: [], detail: null };
}

/** The pipeline in one state and a few words. */
export function summary() {
  const all = Object.keys(STATIONS).map(station);
  const state = WORST_FIRST.find((one) => all.some((some) => some.state === one));
  const named = all.filter((one) => one.state === state).map((one) => STATIONS[one.name].title);
  const names = named.length > 2 ? `${named.length} stations` : named.join(", ");
  const words = { up: "All stations up", unknown: "Looking …", down: `Down: ${names}`, degraded: `Degraded: ${names}` };
  return { state, words: words[state] };
}
