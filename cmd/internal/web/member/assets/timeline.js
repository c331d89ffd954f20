// The timeline: messages and quiet lines, oldest first, in chunks that the browser need not lay out while nobody sees
// them. Entries are numbered by the server; earlier ones are fetched when the person scrolls up to them.

import { byId, clock, day, el, fill, inert, accent } from "./dom.js";
import { getJSON } from "./feed.js";
import { icon } from "./icon.js";

const chunkSize = 50;
const together = 5 * 60 * 1000; // messages of one sender this close are shown as one
const onlyEmoji = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|[\u200d\ufe0f\s])+$/u;
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** when shows a time to the minute, with the whole on hover. */
function when(stamp) {
  const t = clock(stamp);
  fill(t, timeOfDay.format(new Date(stamp)));
  return t;
}

export class Timeline {
  constructor({ retry, details }) {
    this.retry = retry;
    this.details = details;
    this.scroller = byId("timeline");
    this.list = byId("entries");
    this.jump = byId("jump");
    this.rows = new Map(); // by message ID
    this.atEnd = true;
    this.unseen = 0;
    this.fresh = null; // the "new messages" mark
    this.title = document.title;
    this.first = 0; // number of the earliest entry shown
    this.more = false;
    this.loading = false;
    this.locals = new Map(); // messages that the server never got, by attempt
    this.waiting = []; // entries for the next frame
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.jump.addEventListener("click", () => { this.toEnd(); byId("draft").focus(); });
    new ResizeObserver(() => this.stay()).observe(this.scroller);
    window.addEventListener("focus", () => this.seen());
    document.addEventListener("visibilitychange", () => this.seen());
    this.list.addEventListener("click", (e) => this.clicked(e));
    this.stay();
  }

  /** named is told what the window is called. */
  named(title) {
    this.title = title;
    this.showTitle();
  }

  showTitle() {
    document.title = this.unseen > 0 ? `(${this.unseen}) ${this.title}` : this.title;
  }

  /** reset shows a state from the server instead of what is there. What the person had scrolled to stays where it can. */
  reset(state) {
    const known = this.rows.size > 0;
    const keep = this.atEnd ? null : this.anchor();
    this.list.replaceChildren();
    this.rows.clear();
    this.waiting = [];
    this.fresh = null;
    this.more = state.more;
    this.dropped = state.dropped;
    this.first = state.entries[0]?.seq ?? 0;
    this.quietly(() => this.appendAll(state.entries));
    for (const local of this.locals.values()) this.appendRow(local);
    this.showEarlier();
    if (known && keep) this.restore(keep);
    else this.toEnd();
    this.fill();
  }

  // quietly makes a change that a screen reader should not read out.
  quietly(change) {
    this.scroller.setAttribute("aria-live", "off");
    change();
    setTimeout(() => this.scroller.setAttribute("aria-live", "polite"), 100);
  }

  /** append shows a new entry. Those that come close together are shown together. */
  append(entry) {
    if (entry.id && this.rows.has(entry.id)) return;
    this.waiting.push(entry);
    if (this.waiting.length > 1) return;
    const show = () => {
      if (this.waiting.length === 0) return;
      const entries = this.waiting;
      this.waiting = [];
      this.appendAll(entries, true);
      this.stay();
      this.seen();
    };
    if (document.hidden) setTimeout(show, 50);
    else requestAnimationFrame(show);
  }

  appendAll(entries, live = false) {
    for (const e of entries) {
      const unseen = live && e.kind === "message" && !e.own && !this.looking();
      if (unseen) {
        if (this.unseen === 0) this.markFresh();
        this.unseen++;
      }
      if (live && e.own) this.unmark();
      if (!this.first) this.first = e.seq;
      this.appendRow(row(e));
    }
    byId("empty").hidden = this.list.childElementCount > 0;
    this.showTitle();
    this.showJump();
  }

  // looking says whether the person can see what comes.
  looking() { return this.atEnd && !document.hidden && document.hasFocus(); }

  appendRow(li) {
    const last = this.last();
    let chunk = this.list.lastElementChild;
    if (!chunk || chunk.childElementCount >= chunkSize) {
      chunk?.classList.add("full");
      chunk = el("ol", { class: "chunk" });
      this.list.append(chunk);
    }
    const separator = decorate(li, last);
    if (separator) chunk.append(separator);
    chunk.append(li);
    if (li.dataset.id) this.rows.set(li.dataset.id, li);
  }

  // last is the last entry shown; marks and days are none.
  last() {
    let e = this.list.lastElementChild?.lastElementChild ?? null;
    while (e && !e.dataset.time) e = e.previousElementSibling;
    return e;
  }

  markFresh() {
    this.unmark();
    this.fresh = el("li", { class: "fresh" }, "New messages");
    const chunk = this.list.lastElementChild;
    if (chunk) chunk.append(this.fresh);
  }

  unmark() {
    this.fresh?.remove();
    this.fresh = null;
  }

  // seen is called when the person may have read everything; the mark stays a while, so that it can be found.
  seen() {
    if (!this.looking() || this.unseen === 0) return;
    this.unseen = 0;
    this.showTitle();
    this.showJump();
    const mark = this.fresh;
    setTimeout(() => { if (this.fresh === mark) this.unmark(); }, 8000);
  }

  /** fate shows how far an own message is. */
  fate(id, state) {
    const waiting = this.waiting.find((e) => e.id === id);
    if (waiting) waiting.state = state;
    const li = this.rows.get(id);
    if (li) showFate(li, state);
    this.stay();
  }

  /** remove takes an entry away. */
  remove(id) {
    this.rows.get(id)?.remove();
    this.rows.delete(id);
  }

  /** addLocal shows a message that the server did not get. It can be tried again. */
  addLocal(self, attempt, why) {
    const entry = {
      kind: "message", own: true, from: self, text: attempt.text, sent: new Date().toISOString(), time: new Date().toISOString(),
      id: `local-${attempt.key}`, state: { name: "failed", words: `Not sent: ${why}`, way: [] },
    };
    const li = row(entry);
    this.locals.set(entry.id, li);
    li.again = async () => {
      await attempt.again();
      this.locals.delete(entry.id);
      this.remove(entry.id);
    };
    this.appendRow(li);
    byId("empty").hidden = true;
    this.toEnd();
  }

  async clicked(e) {
    const li = e.target.closest(".message");
    if (!li) return;
    if (e.target.closest(".again")) {
      const button = e.target.closest(".again");
      button.disabled = true;
      try {
        await (li.again ? li.again() : this.retry(li.dataset.id));
      } catch (problem) {
        fill(li.querySelector(".failure .why"), problem.message);
      } finally {
        button.disabled = false;
      }
    } else if (e.target.closest(".fate")) {
      this.details(li.dataset.id);
    }
  }

  // Scrolling

  scrolled() {
    // A change of size scrolls too, and then nobody has gone anywhere.
    const size = `${this.scroller.clientWidth} ${this.scroller.clientHeight}`;
    if (size !== this.size) {
      this.size = size;
      this.stay();
      return;
    }
    this.atEnd = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 32;
    this.showJump();
    if (this.atEnd) this.seen();
    if (this.scroller.scrollTop < 600) this.earlier();
  }

  showJump() {
    this.jump.hidden = this.atEnd;
    const n = this.unseen;
    fill(byId("jump-text"), n === 0 ? "To the newest message" : n === 1 ? "1 new message" : `${n} new messages`);
  }

  // stay keeps the end in sight while the person is there.
  stay() {
    if (this.atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** toEnd goes to the newest message. */
  toEnd() {
    this.atEnd = true;
    this.stay();
    // What was not laid out before has its true height only now.
    requestAnimationFrame(() => { this.stay(); this.showJump(); this.seen(); });
  }

  // anchor is the entry at the upper edge and where it stands.
  anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    for (const li of this.list.querySelectorAll("[data-seq]")) {
      const box = li.getBoundingClientRect();
      if (box.bottom > top) return { seq: li.dataset.seq, at: box.top - top };
    }
    return null;
  }

  restore(keep) {
    const li = this.list.querySelector(`[data-seq="${CSS.escape(keep.seq)}"]`);
    if (!li) return;
    const top = this.scroller.getBoundingClientRect().top;
    this.scroller.scrollTop += li.getBoundingClientRect().top - top - keep.at;
  }

  // fill fetches more while there is room on the screen.
  fill() {
    if (this.scroller.scrollHeight <= this.scroller.clientHeight + 600) this.earlier();
  }

  async earlier() {
    if (!this.more || this.loading || !this.first) return;
    this.loading = true;
    fill(byId("earlier"), "Fetching earlier messages");
    try {
      const page = await getJSON(`/history?before=${this.first}`);
      this.more = page.more;
      this.dropped = page.dropped;
      this.prepend(page.entries);
    } catch (problem) {
      console.debug("fetching earlier messages", problem);
    } finally {
      this.loading = false;
      this.showEarlier();
    }
  }

  prepend(entries) {
    if (entries.length === 0) return;
    this.first = entries[0].seq;
    const keep = this.anchor();
    const chunks = document.createDocumentFragment();
    let chunk = null;
    let before = null;
    entries.forEach((e, i) => {
      if (i % chunkSize === 0) {
        chunk = el("ol", { class: "chunk full" });
        chunks.append(chunk);
      }
      const li = row(e);
      const separator = decorate(li, before);
      if (separator) chunk.append(separator);
      chunk.append(li);
      if (e.id) this.rows.set(e.id, li);
      before = li;
    });
    this.quietly(() => {
      this.list.prepend(chunks);
      this.joint(before, chunk.nextElementSibling);
    });
    if (keep && !this.atEnd) this.restore(keep);
    this.stay();
  }

  // joint mends the place where two pages meet.
  joint(before, chunk) {
    let li = chunk?.firstElementChild ?? null;
    if (li?.classList.contains("day")) {
      const separator = li;
      li = li.nextElementSibling;
      separator.remove();
    }
    if (!li?.dataset.time) return;
    li.classList.remove("follow");
    const separator = decorate(li, before);
    if (separator) li.before(separator);
  }

  showEarlier() {
    const start = this.dropped ? "Earlier messages are not kept any longer." : "";
    fill(byId("earlier"), this.more ? "" : start);
  }
}

// row makes the element of an entry.
function row(e) {
  if (e.kind === "note") {
    return el("li", { class: "note", "data-seq": e.seq, "data-time": e.time, "data-tone": e.tone, title: e.detail || null },
      el("span", { class: "text" }, inert(e.text)), " ", when(e.time),
      e.tone === "alarm" || e.tone === "warn" || e.tone === "key" ? why(e.detail) : null);
  }
  const body = el("div", { class: "body", dir: "auto" }, inert(e.text, { lines: true }));
  if (e.text.length < 24 && onlyEmoji.test(e.text)) body.classList.add("only-emoji");
  const meta = el("p", { class: "meta" }, e.late ? el("span", { class: "late" }) : null, when(e.sent));
  const li = el("li", {
    class: e.own ? "message own" : "message", "data-seq": e.seq, "data-id": e.id, "data-time": e.sent, "data-from": e.from,
    "data-accent": accent(e.from),
  }, el("p", { class: "from role" }, inert(e.from)), el("div", { class: "bubble" }, body, meta));
  if (e.state) showFate(li, e.state);
  return li;
}

const why = (detail) => (detail ? el("span", { class: "why" }, inert(detail)) : null);

// showFate shows how far a message is: by shape, and in words on hover and for a screen reader.
function showFate(li, state) {
  const shown = li.querySelector(".fate");
  const fate = el("span", { class: "fate", "data-fate": state.name, role: "img", "aria-label": state.words, title: state.words }, icon(`fate-${state.name}`));
  if (shown) shown.replaceWith(fate);
  else li.querySelector(".meta").append(fate);
  li.querySelector(".failure")?.remove();
  if (state.name === "failed") {
    li.append(el("p", { class: "failure" }, el("span", { class: "why" }, state.words), el("button", { type: "button", class: "again" }, "Try again")));
  }
}

// decorate sets an entry in relation to the one before: a new day, or the same sender going on. Returns the line between
// two days, if there has to be one.
function decorate(li, before) {
  const at = new Date(li.dataset.time);
  const then = before ? new Date(before.dataset.time) : null;
  if (!then || then.toDateString() !== at.toDateString()) {
    return el("li", { class: "day" }, day(at));
  }
  if (li.dataset.from && before.dataset.from === li.dataset.from && at - then < together) li.classList.add("follow");
  return null;
}
