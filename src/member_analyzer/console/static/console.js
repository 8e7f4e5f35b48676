// Entry point: routing, and the header around the pages.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { announce } from "./announcer.js";
import { summarize } from "./components.js";
import { connect, listen, live } from "./events.js";
import { graphs } from "./graphs.js";
import { icon } from "./icons.js";
import { login } from "./login.js";
import { members } from "./members.js";
import { messages } from "./messages.js";
import { errorNotice } from "./notices.js";
import { count, rate } from "./numbers.js";
import { pipeline } from "./pipeline.js";
import { registry } from "./registry.js";
import { rejected } from "./rejected.js";
import { setRenderer } from "./renderer.js";
import { Problem, fetchSession, logOut } from "./server.js";
import { timestamp } from "./times.js";

const PAGES = { members, pipeline, messages, registry, rejected, graphs };

const elements = Object.fromEntries(
  ["main", "tabs", "overview", "banners", "login", "announcement"].map((id) => [id, document.getElementById(id)]),
);
let page = null;

function route() {
  const [name, ...parameters] = location.hash.replace(/^#\/?/, "").split("/");
  return { next: Object.hasOwn(PAGES, name) ? PAGES[name] : members, parameters: parameters.map(decode) };
}

function decode(parameter) {
  try {
    return decodeURIComponent(parameter);
  } catch {
    return parameter; // Invalid escape sequences in a typed address.
  }
}

function open() {
  const { next, parameters } = route();
  const hasChanged = page !== next;
  const isFirst = page === null;
  if (hasChanged) page?.close?.();
  page = next;
  page.open?.(parameters);
  document.title = `${page.title} · Member Analyzer`;
  draw();
  if (!hasChanged || isFirst) return;
  window.scrollTo(0, 0);
  elements.main.querySelector("h1").focus({ preventScroll: true });
}

function draw() {
  render(tabs(), elements.tabs);
  render(overview(), elements.overview);
  render(banners(), elements.banners);
  render(page.template(), elements.main);
  page.afterRender?.(elements.main);
}

function tabs() {
  return Object.entries(PAGES).map(
    ([name, tab]) =>
      html`<li><a href="#/${name}" aria-current=${tab === page ? "page" : "false"}>${tab.title}</a></li>`,
  );
}

function overview() {
  const { state, text } = summarize();
  return html`
    ${live.members
      ? html`<span class="overview-figure"><b>${count(live.members.total)}</b> members</span>
          <span class="overview-figure"><b>${rate(live.members.rate)}</b> per second</span>`
      : nothing}
    <a class="state state-${state}" href="#/pipeline">${icon(state)} ${text}</a>
  `;
}

function banners() {
  if (!live.disconnectedSince) return nothing;
  return html`<div class="banner" role="alert">
    ${icon("down")}
    <p>
      <strong>Connection to the console lost</strong> at ${timestamp(live.disconnectedSince)}. The page shows the last known
      data and reconnects automatically.
    </p>
  </div>`;
}

async function start() {
  document.getElementById("log-out").addEventListener("click", logOut);
  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault(); // The fragment of the address is the route.
    elements.main.focus();
  });
  try {
    Object.assign(login, await fetchSession());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status !== 401) render(errorNotice(error, () => location.reload()), elements.main);
    return;
  }
  elements.login.textContent = login.login;
  document.getElementById("log-out").title = `Logged in as ${login.login}`;
  const previousRoute = sessionStorage.getItem("route");
  sessionStorage.removeItem("route");
  if (previousRoute && !location.hash) history.replaceState(null, "", previousRoute);
  setRenderer(draw);
  listen((event) => {
    page.onEvent?.(event);
    announce(elements.announcement);
  });
  window.addEventListener("hashchange", open);
  open();
  connect();
}

start();
