// Requests to the console's server.

import { redraw } from "./screen.js";

let csrf = "";

/** What the server said instead of an answer: an RFC 9457 problem, or that it said nothing. */
export class Problem extends Error {
  constructor(status, detail, station = null) {
    super(detail);
    this.status = status;
    this.station = station;
  }
}

/** The JSON that a path answers. Throws a Problem; without a session it goes to the login instead. */
export async function ask(path, { body } = {}) {
  const post = body !== undefined && {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...post });
  } catch {
    throw new Problem(0, "The console does not answer. It may be restarting, or the network is away.");
  }
  if (response.ok) return response.json();
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) goToLogin();
  throw new Problem(response.status, told.detail ?? `The console answered with status ${response.status}.`, told.station);
}

/** Who is logged in, with which rights. */
export async function askSession() {
  const session = await ask("/api/session");
  csrf = session.csrf;
  return session;
}

/** Leave for the login page; the page that was open is come back to. */
export function goToLogin() {
  sessionStorage.setItem("left", location.hash);
  location.assign("/login");
}

export async function logOut() {
  await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": csrf } });
  location.assign("/login");
}

/** A path with those parameters that have a value. */
export function path(base, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${base}?${new URLSearchParams(given)}` : base;
}

/** The newest answer to what is asked again and again; an older one that comes late is dropped. */
export class Answer {
  value = null;
  problem = null;
  isUnderWay = false;
  #turn = 0;

  async fetch(asking) {
    const turn = ++this.#turn;
    this.isUnderWay = true;
    redraw();
    let value = null;
    let problem = null;
    try {
      value = await asking();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem = error;
    }
    if (turn !== this.#turn) return;
    this.isUnderWay = false;
    this.problem = problem;
    if (!problem) this.value = value;
    redraw();
  }

  clear() {
    this.#turn++;
    this.value = null;
    this.problem = null;
    this.isUnderWay = false;
  }
}
