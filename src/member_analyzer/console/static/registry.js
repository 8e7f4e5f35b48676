// The registry's subjects, their versions, and what changed from one to another.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { emptiness, loading, problem } from "./notices.js";
import { countOf } from "./numbers.js";
import { Answer, ask, path } from "./server.js";
import { station } from "./stations.js";

const SIGNS = { same: " ", added: "+", removed: "−" };
const MEANINGS = { same: "", added: "added: ", removed: "removed: " };

const schema = new Answer();
const diff = new Answer();
const chosen = { subject: null, version: null, from: null };
let asked = "";

export const registry = {
  title: "Registry",

  open([subject, version, from]) {
    Object.assign(chosen, {
      subject: subject || null,
      version: number(version),
      from: number(from),
    });
    look();
  },

  changed() {
    look();
  },

  template() {
    const subjects = known();
    const subject = current();
    return html`
      <h1 tabindex="-1">Schema Registry</h1>
      <p class="lead">How members are written, in each version.</p>
      ${subjects.length === 0
        ? emptiness(
            "No subject is known",
            station("registry").complaint ?? "The registry has told of none yet.",
            " ",
            station("registry").means ?? "",
          )
        : [
            html`<nav class="choices" aria-label="Subjects">
              ${subjects.map(
                (one) =>
                  html`<a href=${link(one.name)} aria-current=${one === subject ? "true" : "false"}>
                    ${one.name} <span class="tag">${one.compatibility}</span>
                  </a>`,
              )}
            </nav>`,
            subject ? versions(subject) : html`<p class="empty">The registry has no subject ${chosen.subject}.</p>`,
          ]}
    `;
  },
};

function known() {
  return station("registry").detail?.subjects ?? [];
}

function current() {
  return known().find((one) => one.name === chosen.subject) ?? (chosen.subject ? null : known()[0]);
}

function shownVersion(subject) {
  return chosen.version ?? subject.versions.at(-1)?.version;
}

function look() {
  const subject = current();
  if (!subject) return;
  const version = shownVersion(subject);
  const address = `/api/registry/${encodeURIComponent(subject.name)}`;
  const wanted = `${address} ${version} ${chosen.from}`;
  if (wanted === asked && !schema.problem && !diff.problem) return;
  asked = wanted;
  schema.fetch(() => ask(`${address}/${version}`));
  if (chosen.from) diff.fetch(() => ask(path(`${address}/diff`, { from: chosen.from, to: version })));
  else diff.clear();
}

function versions(subject) {
  const version = shownVersion(subject);
  const go = (to, from) => (location.hash = link(subject.name, to, from));
  const option = (value, isChosen) => html`<option value=${value} ?selected=${isChosen}>Version ${value}</option>`;
  const others = subject.versions.filter((one) => one.version !== version);
  return html`<section class="card" aria-labelledby="subject">
    <header class="card-header">
      <h2 id="subject">${subject.name}</h2>
      <div class="card-tools">
        <label class="inline">
          Version
          <select @change=${(event) => go(event.target.value, null)}>
            ${subject.versions.map((one) => option(one.version, one.version === version))}
          </select>
        </label>
        ${others.length
          ? html`<label class="inline">
              compared with
              <select @change=${(event) => go(version, event.target.value)}>
                <option value="" ?selected=${!chosen.from}>nothing</option>
                ${others.map((one) => option(one.version, one.version === chosen.from))}
              </select>
            </label>`
          : nothing}
      </div>
    </header>
    ${chosen.from ? changes() : text()}
  </section>`;
}

function text() {
  return html`${problem(schema.problem, look)} ${schema.value === null ? loading(schema.isUnderWay) : nothing}
  ${schema.value
    ? html`<p class="hint">Version ${schema.value.version}, id ${schema.value.id} in the registry.</p>
        <pre class="schema" tabindex="0" role="region" aria-label="Schema">${schema.value.schema}</pre>`
    : nothing}`;
}

function changes() {
  if (diff.problem) return problem(diff.problem, look);
  if (!diff.value) return loading(true);
  const { from, to, lines } = diff.value;
  const added = lines.filter((line) => line.kind === "added").length;
  const removed = lines.filter((line) => line.kind === "removed").length;
  return html`
    <p class="hint">From version ${from} to ${to}: ${countOf(added, "line")} added, ${countOf(removed, "line")} removed.</p>
    <div class="schema diff" tabindex="0" role="region" aria-label="Changes from version ${from} to ${to}">
      ${lines.map(
        (line) =>
          html`<div class="line line-${line.kind}"><span aria-hidden="true">${SIGNS[line.kind]}</span><span class="unseen">${MEANINGS[line.kind]}</span>${line.text}</div>`,
      )}
    </div>
  `;
}

function link(subject, version, from) {
  const parts = [encodeURIComponent(subject), version, from].filter(Boolean);
  return `#/registry/${parts.join("/")}`;
}

function number(text) {
  return /^\d+$/.test(text ?? "") ? Number(text) : null;
}
