// The registry page: subjects, their versions, and the differences between versions.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { component } from "./components.js";
import { emptyState, errorNotice, loading } from "./notices.js";
import { countOf } from "./numbers.js";
import { Resource, request, withParameters } from "./server.js";

const SIGNS = { same: " ", added: "+", removed: "−" };
const SPOKEN_SIGNS = { same: "", added: "added: ", removed: "removed: " };

const schema = new Resource();
const diff = new Resource();
const selected = { subject: null, version: null, from: null };
let requested = "";

export const registry = {
  title: "Registry",

  open([subject, version, from]) {
    Object.assign(selected, {
      subject: subject || null,
      version: parseNumber(version),
      from: parseNumber(from),
    });
    load();
  },

  onEvent() {
    load();
  },

  template() {
    const subjects = allSubjects();
    const subject = currentSubject();
    return html`
      <h1 tabindex="-1">Schema Registry</h1>
      <p class="lead">All versions of the schemas.</p>
      ${subjects.length === 0
        ? emptyState(
            "No subjects",
            component("registry").error ?? "No schemas have been read yet.",
            " ",
            component("registry").impact ?? "",
          )
        : [
            html`<nav class="subjects" aria-label="Subjects">
              ${subjects.map(
                (one) =>
                  html`<a href=${link(one.name)} aria-current=${one === subject ? "true" : "false"}>
                    ${one.name} <span class="tag">${one.compatibility}</span>
                  </a>`,
              )}
            </nav>`,
            subject ? versions(subject) : html`<p class="empty">The registry has no subject ${selected.subject}.</p>`,
          ]}
    `;
  },
};

function allSubjects() {
  return component("registry").detail?.subjects ?? [];
}

function currentSubject() {
  const subjects = allSubjects();
  return subjects.find(({ name }) => name === selected.subject) ?? (selected.subject ? null : subjects[0]);
}

function currentVersion(subject) {
  return selected.version ?? subject.versions.at(-1)?.version;
}

function load() {
  const subject = currentSubject();
  if (!subject) return;
  const version = currentVersion(subject);
  const url = `/api/registry/${encodeURIComponent(subject.name)}`;
  const wanted = `${url} ${version} ${selected.from}`;
  if (wanted === requested && !schema.problem && !diff.problem) return;
  requested = wanted;
  schema.fetch(() => request(`${url}/${version}`));
  if (selected.from) diff.fetch(() => request(withParameters(`${url}/diff`, { from: selected.from, to: version })));
  else diff.clear();
}

function versions(subject) {
  const current = currentVersion(subject);
  const open = (to, from) => (location.hash = link(subject.name, to, from));
  const option = (version, isSelected) =>
    html`<option value=${version} ?selected=${isSelected}>Version ${version}</option>`;
  const others = subject.versions.filter(({ version }) => version !== current);
  return html`<section class="card" aria-labelledby="subject">
    <header class="card-header">
      <h2 id="subject">${subject.name}</h2>
      <div class="card-tools">
        <label class="inline">
          Version
          <select @change=${(event) => open(event.target.value, null)}>
            ${subject.versions.map(({ version }) => option(version, version === current))}
          </select>
        </label>
        ${others.length
          ? html`<label class="inline">
              Compare with
              <select @change=${(event) => open(current, event.target.value)}>
                <option value="" ?selected=${!selected.from}>none</option>
                ${others.map(({ version }) => option(version, version === selected.from))}
              </select>
            </label>`
          : nothing}
      </div>
    </header>
    ${selected.from ? changes() : text()}
  </section>`;
}

function text() {
  return html`${errorNotice(schema.problem, load)} ${schema.value === null ? loading(schema.isLoading) : nothing}
  ${schema.value
    ? html`<p class="hint">Version ${schema.value.version}, schema id ${schema.value.id}.</p>
        <pre class="schema" tabindex="0" role="region" aria-label="Schema">${schema.value.schema}</pre>`
    : nothing}`;
}

function changes() {
  if (diff.problem) return errorNotice(diff.problem, load);
  if (!diff.value) return loading(true);
  const { from, to, lines } = diff.value;
  const added = lines.filter(({ kind }) => kind === "added").length;
  const removed = lines.filter(({ kind }) => kind === "removed").length;
  return html`
    <p class="hint">From version ${from} to ${to}: ${countOf(added, "line")} added, ${countOf(removed, "line")} removed.</p>
    <div class="schema diff" tabindex="0" role="region" aria-label="Changes from version ${from} to ${to}">
      ${lines.map(
        (line) =>
          html`<div class="line line-${line.kind}"><span aria-hidden="true">${SIGNS[line.kind]}</span><span class="visually-hidden">${SPOKEN_SIGNS[line.kind]}</span>${line.text}</div>`,
      )}
    </div>
  `;
}

function link(subject, version, from) {
  const parts = [encodeURIComponent(subject), version, from].filter(Boolean);
  return `#/registry/${parts.join("/")}`;
}

function parseNumber(text) {
  return /^\d+$/.test(text ?? "") ? Number(text) : null;
}
