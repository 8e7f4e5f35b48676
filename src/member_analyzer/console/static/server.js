// Requests to the console's API.

import { redraw } from "./renderer.js";

let csrf = "";

/** An RFC 9457 problem, or a network error with status 0. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The JSON response. Throws a Problem; without a session it opens the login page, too. */
export async function request(path, { body } = {}) {
  const post = body !== undefined && {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...post });
  } catch {
    throw new Problem(0, "The console does not respond. It may be restarting, or the network may be down.");
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) goToLogin();
  throw new Problem(response.status, problem.detail ?? `The console responded with status ${response.status}.`);
}

export async function fetchSession() {
  const session = await request("/api/session");
  csrf = session.csrf;
  return session;
}

/** Open the login page; the current route is restored after the login. */
export function goToLogin() {
  sessionStorage.setItem("route", location.hash);
  location.assign("/login");
}

export async function logOut() {
  await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": csrf } });
  location.assign("/login");
}

/** A path with the parameters that have a value. */
export function withParameters(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The newest response to a repeated request; late responses to earlier ones are dropped. */
export class Resource {
  value = null;
  problem = null;
  isLoading = false;
  #latest = 0;

  async fetch(load) {
    const number = ++this.#latest;
    this.isLoading = true;
    redraw();
    let value = null;
    let problem = null;
    try {
      value = await load();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem = error;
    }
    if (number !== this.#latest) return;
    this.isLoading = false;
    this.problem = problem;
    if (!problem) this.value = value;
    redraw();
  }

  clear() {
    this.#latest++;
    this.value = null;
    this.problem = null;
    this.isLoading = false;
  }
}
