// The relay node's window.
import { accent, byId, bytes, clock, count, el, fill, inert, mark, pinned, roleName, state } from "./dom.js";
import { follow, getJSON } from "./feed.js";
import { place } from "./window.js";
import { Pieces } from "./held.js";

place();

/* Views: where there is no room for all of them, one is chosen. */
const main = byId("main");
const choices = [...document.querySelectorAll(".views button")];
for (const b of choices) {
  b.addEventListener("click", () => {
    main.dataset.view = b.dataset.view;
    for (const other of choices) other.setAttribute("aria-pressed", String(other === b));
    if (b.dataset.view === "log") end.now();
  });
}
// With room for the members beside, they are no choice any more.
matchMedia("(min-width: 52rem)").addEventListener("change", (e) => { if (e.matches && main.dataset.view === "facts") choices[0].click(); });

/* The log: lines, the latest 2,000, in one element each. Level and text decide which are shown. */
const keepLines = 2000;
const levels = ["debug", "info", "warn", "error"];
const roleKeys = new Set(["role", "from", "to"]);
const log = byId("log");
const end = pinned(log);
const lines = []; // {line, node, text}, oldest first
let newest = 0; // number of the newest line
let waiting = []; // lines that came while paused
let paused = false;
let queued = []; // lines for the next frame

const level = byId("level");
const filter = byId("filter");
const pause = byId("pause");

function lineNode(line) {
  return el("div", { class: "line", "data-level": line.level },
    clock(line.time),
    el("span", { class: "level" }, line.level),
    el("span", { class: "said" }, inert(line.text), (line.attrs ?? []).map((a) => attrNode(a))));
}

function attrNode({ key, value }) {
  const hue = roleKeys.has(key) && roles.has(value) ? accent(value) : null;
  return [" ", el("span", { class: "attr", "data-accent": hue }, el("span", { class: "key" }, inert(key)), el("span", { class: "value" }, inert(value)))];
}

function fits({ line, text }) {
  return levels.indexOf(line.level) >= levels.indexOf(level.value) && text.includes(filter.value.trim().toLowerCase());
}

function take(line) {
  if (line.number <= newest) return; // in the state and in an event
  newest = line.number;
  if (paused) {
    waiting.push(line);
    if (waiting.length > keepLines) waiting.shift();
    fill(pause, `Resume (${waiting.length} new)`);
    return;
  }
  if (queued.push(line) === 1) requestAnimationFrame(flush);
}

function flush() {
  const batch = document.createDocumentFragment();
  for (const line of queued.slice(-keepLines)) {
    const text = [line.text, ...(line.attrs ?? []).map((a) => `${a.key}=${a.value}`)].join(" ").toLowerCase();
    const entry = { line, text, node: null };
    lines.push(entry);
    if (fits(entry)) batch.append((entry.node = lineNode(line)));
  }
  queued = [];
  log.append(batch);
  for (const old of lines.splice(0, Math.max(0, lines.length - keepLines))) old.node?.remove();
  empty();
  end();
}

function empty() {
  byId("log-empty").hidden = log.childElementCount > 0;
}

function refilter() {
  for (const entry of lines) {
    const wanted = fits(entry);
    if (wanted && !entry.node) entry.node = lineNode(entry.line);
    if (!wanted) entry.node = null;
  }
  log.replaceChildren(...lines.filter((e) => e.node).map((e) => e.node));
  empty();
  end.now();
}
level.addEventListener("change", refilter);
// A screen reader is told of new lines where there are few of them: not when all lines are shown.
level.addEventListener("change", () => log.setAttribute("aria-live", level.value === "debug" ? "off" : "polite"));
filter.addEventListener("input", refilter);
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  fill(pause, paused ? "Resume" : "Pause");
  if (!paused) {
    queued.push(...waiting);
    waiting = [];
    flush();
    end.now();
  }
});

/* Members, numbers, refusals */
let roles = new Set();
let started = null;

function number(id, n, note) {
  fill(byId(id), n.toLocaleString(), note ? [" ", el("small", {}, note)] : null);
}

function short(id) {
  return id.length > 12 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id;
}

function showStatus(s) {
  roles = new Set(s.members.map((m) => m.role));
  started = new Date(s.started);
  number("n-online", s.online, `of ${s.members.length}`);
  number("n-circuits", s.circuits.open, `${bytes(s.circuits.bytes)} relayed`);
  number("n-mailbox", s.mailbox.count, s.mailbox.count ? bytes(s.mailbox.bytes) : "");
  number("n-backlog", s.backlog.count, s.backlog.count ? bytes(s.backlog.bytes) : "");
  number("n-refused", s.refused);
  byId("members").replaceChildren(...s.members.map(memberNode));
  byId("refusals-none").hidden = s.refusals.length > 0;
  byId("refusals").replaceChildren(...s.refusals.map((r) =>
    el("div", {}, el("dt", {}, r.words, el("span", { class: "mono tiny soft" }, inert(r.name))), el("dd", { class: "number" }, r.count.toLocaleString()))));
  byId("facts").replaceChildren(...factNodes(s));
  uptime();
}

function memberNode(m) {
  const details = [];
  if (m.online) details.push(["since ", clock(m.since)]);
  if (m.circuits > 0) details.push(count(m.circuits, "circuit"));
  return el("li", { class: m.kind === "off" ? "member away" : "member", "data-accent": accent(m.role) },
    mark(m.role),
    el("div", {},
      el("p", { class: "name" }, roleName(m.role), state(m.kind, m.word)),
      el("ul", { class: "steps", "aria-label": `How far ${m.role} has come` },
        m.steps.map((s) => el("li", { class: s.done ? "done" : null, title: s.done ? s.name : `not ${s.name}` },
          el("span", { class: "visually-hidden" }, s.done ? s.name : `not ${s.name}`)))),
      el("p", { class: "detail" }, stepWords(m)),
      details.length ? el("p", { class: "detail" }, details.map((d, i) => [i ? " · " : "", d])) : null,
      m.addrs.map((a) => el("div", { class: "detail mono", title: m.peer }, a))));
}

function stepWords(m) {
  if (!m.addrs.length) return "in the roster, not connected";
  const lacking = m.steps.filter((s) => !s.done).map((s) => `not ${s.name}`);
  return lacking.length ? lacking.join(", ") : "in session, in the topic, reachable";
}

function factNodes(s) {
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  return [
    ["Addresses", s.addrs.map((a) => el("div", { class: "mono" }, a))],
    ["Peer ID", el("span", { class: "mono" }, s.peer)],
    ["Group ID", el("span", { class: "mono", title: s.groupId }, `${s.groupId.slice(0, 32)}…`)],
    ["Roster", `version ${s.rosterVersion}, ${count(s.members.length, "member")}, until ${date.format(new Date(s.rosterExpires))}`],
    ["Database", el("span", { class: "mono" }, s.database)],
    ["Circuits since the start", `${s.circuits.total.toLocaleString()}, ${bytes(s.circuits.bytes)} relayed; ${count(s.circuits.reserved, "member")} reachable`],
    ["Peers connected", `${s.connections}, strangers included`],
  ].flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
}

function uptime() {
  if (!started) return;
  const minutes = Math.max(0, Math.floor((Date.now() - started) / 60000));
  const [d, h, m] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  fill(byId("uptime"), minutes < 1 ? "just started" : "for " + [d && `${d} d`, h && `${h} h`, !d && `${m} min`].filter(Boolean).join(" "));
}
setInterval(uptime, 15000);

/* What it can see */
const pieces = new Pieces(byId("held"), byId("held-empty"), byId("held-newer"));

/* Live */
let database = null; // of the relay node that the page shows; another one starts from nothing

async function load() {
  const s = await getJSON("state");
  const again = database !== `${s.status.database} ${s.status.started}`;
  if (again) {
    database = `${s.status.database} ${s.status.started}`;
    log.replaceChildren();
    pieces.clear();
    lines.length = 0;
    queued = [];
    newest = 0;
  }
  showStatus(s.status);
  fill(byId("peer"), short(s.status.peer));
  byId("peer").title = s.status.peer;
  s.lines.forEach(take);
  flush();
  s.held.forEach((h) => pieces.take(h));
  return s.last;
}

follow("events", {
  load,
  on: { line: take, status: showStatus, held: (h) => pieces.take(h) },
  connection: (kind) => {
    byId("lost").hidden = kind === "live";
    byId("serving").dataset.state = kind === "live" ? "on" : "bad";
    fill(byId("serving"), kind === "live" ? "Serving" : "No answer");
  },
});
