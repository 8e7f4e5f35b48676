// The application: which page is open, and the frame around it.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { announce } from "./announcer.js";
import { connect, listen, live } from "./events.js";
import { graphs } from "./graphs.js";
import { icon } from "./icons.js";
import { login } from "./login.js";
import { members } from "./members.js";
import { messages } from "./messages.js";
import { moment } from "./moments.js";
import { problem } from "./notices.js";
import { count, rate } from "./numbers.js";
import { pipeline } from "./pipeline.js";
import { registry } from "./registry.js";
import { rejected } from "./rejected.js";
import { drawWith } from "./screen.js";
import { Problem, askSession, logOut } from "./server.js";
import { summary } from "./stations.js";

const PAGES = { members, pipeline, messages, registry, rejected, graphs };

const place = Object.fromEntries(
  ["main", "tabs", "glance", "banners", "login", "announcement"].map((id) => [id, document.getElementById(id)]),
);
let page = null;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { next: Object.hasOwn(PAGES, name) ? PAGES[name] : members, rest: rest.map(decoded) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // A person typed it.
  }
}

function open() {
  const { next, rest } = route();
  const isOther = page !== next;
  const isFirst = page === null;
  if (isOther) page?.close?.();
  page = next;
  page.open?.(rest);
  document.title = `${page.title} · Member Analyzer`;
  draw();
  if (!isOther || isFirst) return;
  window.scrollTo(0, 0);
  place.main.querySelector("h1").focus({ preventScroll: true });
}

function draw() {
  render(tabs(), place.tabs);
  render(glance(), place.glance);
  render(banners(), place.banners);
  render(page.template(), place.main);
  page.drawn?.(place.main);
}

function tabs() {
  return Object.entries(PAGES).map(
    ([name, one]) =>
      html`<li><a href="#/${name}" aria-current=${one === page ? "page" : "false"}>${one.title}</a></li>`,
  );
}

function glance() {
  const { state, words } = summary();
  return html`
    ${live.members
      ? html`<span class="glance-figure"><b>${count(live.members.total)}</b> members</span>
          <span class="glance-figure"><b>${rate(live.members.rate)}</b> a second</span>`
      : nothing}
    <a class="state state-${state}" href="#/pipeline">${icon(state)} ${words}</a>
  `;
}

function banners() {
  if (!live.lostSince) return nothing;
  return html`<div class="banner" role="alert">
    ${icon("down")}
    <p>
      <strong>The console is out of reach</strong> since ${moment(live.lostSince)}. What you see is what it last told; it is
      tried again every two seconds.
    </p>
  </div>`;
}

async function start() {
  document.getElementById("log-out").addEventListener("click", logOut);
  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault(); // The address tells the page.
    place.main.focus();
  });
  try {
    Object.assign(login, await askSession());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status !== 401) render(problem(error, () => location.reload()), place.main);
    return;
  }
  place.login.textContent = login.login;
  document.getElementById("log-out").title = `Logged in as ${login.login}`;
  const left = sessionStorage.getItem("left");
  sessionStorage.removeItem("left");
  if (left && !location.hash) history.replaceState(null, "", left);
  drawWith(draw);
  listen((name) => {
    page.changed?.(name);
    announce(place.announcement);
  });
  window.addEventListener("hashchange", open);
  open();
  connect();
}

start();
