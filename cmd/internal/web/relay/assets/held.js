// What the relay node holds of the latest batches and mails: a list, newest first, and on request every byte.
import { accent, bytes, clock, count, el, inert, mark, roleName } from "./dom.js";
import { getJSON } from "./feed.js";

const keep = 64;
const firstBytes = 4096; // shown of a large one at first

/** Pieces is the list. */
export class Pieces {
  constructor(list, empty, newer) {
    this.list = list;
    this.empty = empty;
    this.newer = newer; // a button: show what came while one was open
    this.newest = 0;
    this.waiting = [];
    newer.addEventListener("click", () => {
      for (const open of list.querySelectorAll("details[open]")) open.open = false;
      this.release();
    });
    list.addEventListener("toggle", () => this.release(), true);
  }

  clear() {
    this.list.replaceChildren();
    this.newest = 0;
    this.waiting = [];
    this.empty.hidden = false;
    this.release();
  }

  take(h) {
    if (h.number <= this.newest) return;
    this.newest = h.number;
    this.empty.hidden = true;
    this.waiting.push(h);
    if (this.waiting.length > keep) this.waiting.shift();
    this.release();
  }

  // release shows what waits, unless the person reads one: what he reads does not move.
  release() {
    const reading = this.list.querySelector("details[open]") !== null;
    if (!reading) {
      for (const h of this.waiting) this.list.prepend(pieceNode(h));
      this.waiting = [];
      while (this.list.childElementCount > keep) this.list.lastElementChild.remove();
    }
    this.newer.hidden = this.waiting.length === 0;
    if (this.waiting.length > 0) this.newer.textContent = `Show ${this.waiting.length} newer`;
  }
}

// what says in words what a piece is.
function what(h) {
  switch (h.what) {
    case "frames": return h.frames === 1 ? "one sealed message" : `${h.frames} sealed messages`;
    case "share": return "a sealed share";
    case "control": return "key agreement, signed";
    default: return "key agreement, signed, by mailbox";
  }
}

const grouped = (hex) => hex.replace(/../g, "$& ").trim();

function pieceNode(h) {
  const body = el("div", { class: "bytes" });
  const node = el("details", { class: "piece", "data-accent": accent(h.from) },
    el("summary", {},
      mark(h.from),
      el("span", { class: "what" }, roleName(h.from), h.to ? [" to ", roleName(h.to)] : null, el("span", { class: "soft" }, " · ", what(h))),
      el("span", { class: "when" }, bytes(h.size), " · ", clock(h.time)),
      el("span", { class: "preview" }, grouped(h.preview), " …")),
    body);
  node.addEventListener("toggle", () => { if (node.open && !body.hasChildNodes()) open(h, body); });
  return node;
}

async function open(h, body) {
  let whole;
  try {
    whole = await getJSON(`held/${h.number}`);
  } catch {
    body.append(el("p", { class: "soft small" }, "The relay node's process no longer has this one among the latest."));
    return;
  }
  const data = Uint8Array.from(atob(whole.data), (c) => c.charCodeAt(0));
  body.append(facts(whole), meter(whole), dump(data, whole.parts), partList(whole.parts));
}

function facts(h) {
  return el("dl", { class: "facts" }, [
    ["What it knows", el("span", {}, roleName(h.from), h.to ? [" left it for ", roleName(h.to)] : " sent it to the group", ", ", clock(h.time), h.way === "topic" ? ", over the topic" : ", over its session")],
    ["Size", `${h.size.toLocaleString()} bytes, of which ${h.sealed.toLocaleString()} only members can read`],
    ["Hash", el("span", { class: "mono" }, h.id)],
  ].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

// meter is how much of it is readable, from first byte to last.
function meter(h) {
  const share = h.size ? Math.round((100 * h.sealed) / h.size) : 0;
  const bar = el("div", { class: "meter", role: "img", "aria-label": `${share} percent of the bytes are sealed` });
  for (const p of h.parts) {
    const s = el("span", { class: p.sealed ? "sealed" : "open" });
    s.style.flexGrow = String(p.to - p.from);
    bar.append(s);
  }
  return bar;
}

// partList names the stretches; of many alike it names the first few.
function partList(parts) {
  const shown = parts.length > 24 ? parts.slice(0, 20) : parts;
  const list = el("ol", { class: "parts", "aria-label": "What the bytes are" }, shown.map((p) =>
    el("li", { class: p.sealed ? "sealed" : null }, el("span", { class: "mono" }, `${p.from}–${p.to - 1}`), el("span", {}, inert(p.name), p.sealed ? " (sealed)" : ""))));
  if (shown.length < parts.length) list.append(el("li", {}, el("span", {}), el("span", { class: "soft" }, `and ${count(parts.length - shown.length, "part")} more of the same`)));
  return list;
}

/** dump shows bytes in hex and as text, sealed ones marked. */
function dump(data, parts) {
  const row = matchMedia("(max-width: 34rem)").matches ? 8 : 16;
  const pre = el("pre", { class: "hex", tabindex: "0", role: "group", "aria-label": "The bytes in hex" });
  const box = el("div", {}, pre);
  const show = (from, to) => {
    const out = document.createDocumentFragment();
    for (let at = from; at < to; at += row) out.append(line(data, parts, at, Math.min(at + row, data.length), row));
    pre.append(out);
  };
  const first = Math.min(data.length, firstBytes);
  show(0, first);
  if (first < data.length) {
    const more = el("button", { type: "button", class: "more", onclick: () => { show(first, data.length); more.remove(); } }, `Show the other ${bytes(data.length - first)}`);
    box.append(more);
  }
  return box;
}

const hex2 = (b) => b.toString(16).padStart(2, "0");
const ascii = (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : "·");

// line is one row: where it begins, the bytes in hex, the same as text.
function line(data, parts, from, to, row) {
  const out = document.createDocumentFragment();
  out.append(el("span", { class: "at" }, from.toString(16).padStart(5, "0") + "  "));
  runs(out, data, parts, from, to, (b) => hex2(b), " ");
  out.append("   ".repeat(row - (to - from)) + "  ");
  runs(out, data, parts, from, to, ascii, "");
  out.append("\n");
  return out;
}

// runs appends the bytes from..to-1 as text, one element for each stretch of one kind.
function runs(out, data, parts, from, to, text, between) {
  let at = from;
  while (at < to) {
    const part = partAt(parts, at);
    const end = Math.min(part.to, to);
    const shown = Array.from(data.subarray(at, end), text).join(between);
    out.append(part.sealed ? el("span", { class: "sealed" }, shown) : document.createTextNode(shown));
    if (end < to) out.append(between);
    at = end;
  }
}

// partAt finds the part that holds a byte: parts are in order and without gaps.
function partAt(parts, at) {
  let [low, high] = [0, parts.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (parts[middle].to <= at) low = middle + 1;
    else high = middle;
  }
  return parts[low];
}
