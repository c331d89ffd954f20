// The member's window: keeps the page up to date and sends what the person writes.

import { byId, el, fill, inert, accent } from "./dom.js";
import { follow, getJSON, post } from "./feed.js";
import { place } from "./window.js";
import { Timeline } from "./timeline.js";
import { compose } from "./compose.js";
import { Drawer } from "./drawer.js";
import { verification } from "./verify.js";
import { icon } from "./icon.js";

place();

const timeline = new Timeline({ retry: (id) => post("/retry", { id }), details: (id) => drawer.message(id) });
const drawer = new Drawer();
const openCodes = verification();
let status = null;

compose({
  send: (text, key) => post("/send", { text, key }),
  failed: (attempt, why) => timeline.addLocal(status?.self ?? "", attempt, why),
  sending: () => timeline.toEnd(),
});

follow("/events", {
  load: async () => {
    const state = await getJSON("/state");
    timeline.reset(state);
    showStatus(state.status);
    drawer.reset();
    return state.last;
  },
  on: {
    entry: (e) => timeline.append(e),
    sent: (s) => timeline.fate(s.id, s.state),
    gone: (g) => timeline.remove(g.id),
    status: showStatus,
    trace: (t) => drawer.trace(t),
  },
  connection: (how) => { byId("lost").hidden = how === "live"; },
});

// showStatus shows the head of the page: all its words come ready from the server.
function showStatus(s) {
  status = s;
  timeline.named(`${s.self} · ${s.group}`);
  const connection = byId("connection");
  connection.dataset.state = s.connection.state;
  connection.title = s.connection.detail;
  fill(connection, s.connection.words);
  fill(byId("here"), `${s.here} of ${s.members.length} here`);
  fill(byId("fingerprint"), s.key.has ? s.key.fingerprint : "…");
  fill(byId("epoch"), s.key.epoch || "none yet");
  fill(byId("key-words"), s.key.words);
  byId("warning").hidden = !s.warning;
  fill(byId("warning"), s.warning);
  byId("alarm").hidden = !s.alarm;
  fill(byId("alarm-text"), s.alarm);
  showMembers(s.members);
}

// showMembers changes the list in place, so that the focus stays where it is.
function showMembers(members) {
  const list = byId("members");
  const rows = new Map(Array.from(list.children, (row) => [row.dataset.role, row]));
  members.forEach((m, i) => {
    const row = rows.get(m.role) ?? newMember(m);
    rows.delete(m.role);
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    row.toggleAttribute("data-here", m.online);
    fill(row.querySelector(".words"), m.words);
    row.querySelector(".holds").hidden = !m.confirmed;
    row.querySelector(".trust").dataset.trust = m.trust;
  });
  for (const row of rows.values()) row.remove();
}

function newMember(m) {
  return el("li", { class: "member", "data-role": m.role, "data-accent": accent(m.role) },
    el("button", { type: "button", class: "plain row", disabled: m.self },
      el("span", { class: "mark", "aria-hidden": "true" }, Array.from(m.role)[0]),
      el("span", { class: "text" }, el("span", { class: "role" }, inert(m.role)), el("span", { class: "words soft" })),
      el("span", { class: "holds", title: "has proved to hold the key" }, icon("key"),
        el("span", { class: "visually-hidden" }, "has confirmed the key")),
      el("span", { class: "trust" })));
}

byId("members").addEventListener("click", (e) => {
  const row = e.target.closest("[data-role]");
  if (row && !row.querySelector("button").disabled) openCodes(row.dataset.role);
});
byId("verify-open").addEventListener("click", () => openCodes(""));
byId("alarm-open").addEventListener("click", () => openCodes(status?.members.find((m) => m.trust === "changed")?.role ?? ""));
byId("rekey").addEventListener("click", async (e) => {
  const button = e.currentTarget;
  button.disabled = true;
  try {
    await post("/rekey");
  } catch (problem) {
    fill(byId("key-words"), problem.message);
  } finally {
    setTimeout(() => { button.disabled = false; }, 1500);
  }
});
