// The drawer "What is happening": the debug view, in plain words with the technical detail beside it.

import { byId, clock, el, fill, inert, roleName, state } from "./dom.js";
import { getJSON } from "./feed.js";

const views = [
  ["live", "Live"], ["keys", "Keys"], ["shares", "Shares"], ["messages", "Messages"], ["certificates", "Certificates"],
  ["connection", "Connection"], ["log", "Log"],
];
const often = 700; // ms between two looks while things happen
const seldom = 5000; // and while nothing does
const maxSteps = 300;

const exact = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export class Drawer {
  constructor() {
    this.drawer = byId("drawer");
    this.panel = byId("panel");
    this.opener = byId("drawer-open");
    this.view = "live";
    this.level = "debug";
    this.wanted = null; // a message to show
    this.timer = 0;
    this.data = null;
    this.tabs();
    this.opener.addEventListener("click", () => this.open(this.drawer.hidden));
    byId("drawer-close").addEventListener("click", () => { this.open(false); this.opener.focus(); });
    byId("copy").addEventListener("click", () => this.copy());
    this.drawer.addEventListener("keydown", (e) => {
      if (e.key === "Escape") { this.open(false); this.opener.focus(); }
    });
  }

  tabs() {
    const list = byId("tabs");
    for (const [name, title] of views) {
      list.append(el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel", "data-view": name, onclick: () => this.show(name) }, title));
    }
    list.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[e.key];
      if (!step) return;
      e.preventDefault();
      const now = views.findIndex(([name]) => name === this.view);
      const next = Math.abs(step) === Infinity ? (step < 0 ? 0 : views.length - 1) : (now + step + views.length) % views.length;
      this.show(views[next][0]);
      byId(`tab-${this.view}`).focus();
    });
    this.mark();
  }

  mark() {
    for (const [name] of views) {
      const tab = byId(`tab-${name}`);
      const on = name === this.view;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      if (on) this.panel.setAttribute("aria-labelledby", tab.id);
    }
  }

  open(open) {
    this.drawer.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    clearTimeout(this.timer);
    this.timer = 0;
    if (open) {
      byId(`tab-${this.view}`).focus();
      this.look();
    }
  }

  /** message opens the drawer at one message's way. */
  message(id) {
    this.wanted = id;
    this.show("messages");
    this.open(true);
  }

  show(view) {
    this.view = view;
    this.mark();
    this.panel.scrollTop = 0;
    this.panel.replaceChildren();
    if (!this.drawer.hidden) this.look();
  }

  /** reset is told that the page began anew. */
  reset() {
    this.data = null;
    if (!this.drawer.hidden) this.look();
  }

  /** trace is told that something happened. */
  trace(step) {
    if (this.drawer.hidden) return;
    if (this.data && this.view === "live") {
      if (this.data.trace[0]?.n >= step.n) return;
      this.data.trace.unshift(step);
      this.data.trace.length = Math.min(this.data.trace.length, maxSteps);
      const list = this.panel.querySelector(".steps");
      list?.prepend(stepRow(step));
      if (list && list.childElementCount > maxSteps) list.lastElementChild.remove();
      return;
    }
    this.soon(often);
  }

  soon(ms) {
    if (this.timer && ms >= often && this.due <= performance.now() + ms) return;
    clearTimeout(this.timer);
    this.due = performance.now() + ms;
    this.timer = setTimeout(() => { this.timer = 0; this.look(); }, ms);
  }

  async look() {
    const view = this.view;
    try {
      if (view === "log") this.lines = await getJSON(`/log?level=${this.level}`);
      else this.data = await getJSON("/inspect");
    } catch (problem) {
      console.debug("looking underneath", problem);
      this.soon(seldom);
      return;
    }
    if (this.drawer.hidden || view !== this.view) return;
    this.render();
    this.soon(seldom);
  }

  render() {
    // While the person selects or uses something here, nothing is replaced under the hand.
    const selection = getSelection();
    if (selection && !selection.isCollapsed && this.panel.contains(selection.anchorNode)) return;
    if (this.panel.contains(document.activeElement) && document.activeElement !== this.panel && this.panel.childElementCount > 0) {
      this.renderRest();
      return;
    }
    this.panel.replaceChildren(...this[this.view]().flat(Infinity).filter(Boolean));
    if (this.view === "messages" && this.wanted) {
      const card = Array.from(this.panel.children).find((c) => c.dataset.id === this.wanted);
      this.wanted = null;
      card?.scrollIntoView({ block: "nearest" });
    }
  }

  // renderRest replaces all but what has the focus: the log below its filter.
  renderRest() {
    if (this.view !== "log") return;
    this.panel.querySelector(".log")?.replaceWith(this.logLines());
  }

  live() {
    return [
      el("p", { class: "soft small intro" }, "Everything this member does, newest first. No secret is shown here."),
      el("ol", { class: "steps", "aria-label": "Steps" }, this.data.trace.map(stepRow)),
    ];
  }

  keys() {
    return [
      el("p", { class: "soft small intro" }, "Each epoch's key is the XOR of one secret share from each contributor. Everybody commits to a share before any is shown, so nobody can choose the key."),
      this.data.epochs.map((e) => el("article", { class: "card" },
        el("header", {}, el("h3", { class: "mono" }, e.number), state(e.state, e.words)),
        el("table", { class: "parts" },
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Share of"), el("th", { scope: "col" }, "State"), el("th", { scope: "col" }, "Commitment"))),
          el("tbody", {}, e.parts.map((p) => el("tr", {}, el("td", {}, roleName(p.role)), el("td", {}, p.words), el("td", { class: "mono" }, p.commitment || "none yet"))))),
        facts([...e.facts, { name: "Confirmed by", value: e.confirmed }]))),
      this.data.epochs.length === 0 ? el("p", { class: "soft" }, "No epoch yet: this member asks for one as soon as it is connected.") : null,
    ];
  }

  shares() {
    return [
      el("p", { class: "soft small intro" }, "Shares travel sealed to one reader's RSA key: through a circuit to whoever is here, by mailbox to whoever is away."),
      this.data.shares.length ? el("ol", { class: "steps" }, this.data.shares.map(stepRow)) : el("p", { class: "soft" }, "No share has come or gone in this run."),
    ];
  }

  messages() {
    return [
      el("p", { class: "soft small intro" }, "Your last messages, and each one's way: sealed here, stored by the relay node, shown by the others."),
      this.data.ways.map((e) => el("article", { class: "card", "data-id": e.id },
        el("header", {}, el("p", { class: "snippet" }, inert(e.text.slice(0, 120))), state(fateShape(e.state.name), e.state.words)),
        el("ol", { class: "steps" }, e.state.way.map((p) => stepRow(p))))),
      this.data.ways.length === 0 ? el("p", { class: "soft" }, "You have sent nothing in this run.") : null,
    ];
  }

  certificates() {
    return [
      el("p", { class: "soft small intro" }, "Who may take part is what the group's authority has signed. Every certificate is checked again whenever this is shown."),
      this.data.certificates.map((c) => el("article", { class: "card" },
        el("header", {}, el("h3", {}, inert(c.title)), el("span", { class: "soft small" }, c.kind), state(c.good ? "on" : "bad", c.words)),
        facts(c.facts),
        el("ul", { class: "checks" }, c.checks.map((k) => el("li", {}, state(k.OK ? "on" : "bad", el("span", {}, k.Rule, k.Why ? `: ${k.Why}` : "")))))))
    ];
  }

  connection() {
    const d = this.data;
    return [
      facts(d.connection),
      el("h3", {}, "Relay nodes"),
      d.links.map((l) => el("article", { class: "card" }, el("header", {}, el("h3", {}, inert(l.name)), state(l.state, l.words)), facts(l.facts))),
      el("h3", {}, "Open connections"),
      el("ul", { class: "steps plain-steps" }, d.connections.map((c) => el("li", {}, el("span", { class: "soft" }, inert(c.who)), el("span", {}, c.words), el("span", { class: "detail" }, c.detail)))),
      d.connections.length === 0 ? el("p", { class: "soft" }, "None.") : null,
      d.drops.length ? [el("h3", {}, "Dropped"), facts(d.drops)] : null,
    ];
  }

  log() {
    const choose = el("select", { id: "log-level", onchange: (e) => { this.level = e.target.value; this.look(); } },
      ["debug", "info", "warn", "error"].map((l) => el("option", { value: l, selected: l === this.level }, l)));
    return [el("p", { class: "filter" }, el("label", { for: "log-level" }, "Show from level"), choose), this.logLines()];
  }

  logLines() {
    return el("ol", { class: "log" }, this.lines.map((l) => el("li", { "data-level": l.level }, time(l.time), el("span", { class: "level" }, l.level),
      el("span", {}, inert(l.text), " ", el("span", { class: "attrs" }, inert((l.attrs ?? []).map((a) => `${a.key}=${a.value}`).join(" ")))))));
  }

  async copy() {
    const say = (text) => { fill(byId("drawer-say"), text); fill(byId("copy"), text); setTimeout(() => fill(byId("copy"), "Copy diagnostics"), 2500); };
    try {
      const answer = await fetch("/diagnostics", { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      await navigator.clipboard.writeText(await answer.text());
      say("Copied");
    } catch (problem) {
      console.debug("copying", problem);
      say("Could not copy");
    }
  }
}

const fateShape = (name) => ({ queued: "wait", relay: "wait", delivered: "on", everybody: "on", failed: "bad" })[name] ?? "off";

function time(stamp) {
  const t = clock(stamp);
  fill(t, exact.format(new Date(stamp)));
  return t;
}

const stepRow = (s) => el("li", { "data-area": s.area }, time(s.time), el("span", { class: s.bad ? "bad" : null }, inert(s.text)),
  s.detail ? el("span", { class: "detail" }, inert(s.detail)) : null);

const facts = (list) => el("dl", { class: "facts" }, list.map((f) => [el("dt", {}, f.name), el("dd", { class: f.mono ? "mono" : null }, inert(f.value))]));
