// The page's end of a Feed (package web): events over SSE, resumed where they stopped.

/** getJSON fetches a state. */
export async function getJSON(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** post sends what the person wants, as JSON, and returns the answer's JSON (null for none). Fails with the answer's text. */
export async function post(path, value = {}) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text.trim() || `${answer.status}`);
  return text ? JSON.parse(text) : null;
}

/**
 * follow keeps a page up to date. load fetches the state, shows it and returns the number of the last event in it (the
 * state's "last"). on maps names of events to functions of their values. connection is told "live" and "lost".
 * It never gives up: when the program is started again, the page loads its state anew and goes on.
 */
export function follow(path, { load, on, connection = () => {} }) {
  let wait = 500;
  let source = null;

  async function start() {
    let last;
    try {
      last = await load();
    } catch (problem) {
      console.debug("loading the state", problem);
      again();
      return;
    }
    source = new EventSource(`${path}?after=${encodeURIComponent(last)}`);
    source.onopen = () => { wait = 500; connection("live"); };
    source.onerror = () => {
      connection("lost");
      if (source.readyState === EventSource.CLOSED) again(); // else the browser comes back by itself, and resumes
    };
    source.addEventListener("reset", () => { source.close(); start(); });
    for (const [name, take] of Object.entries(on)) {
      source.addEventListener(name, (e) => take(JSON.parse(e.data)));
    }
  }

  function again() {
    source?.close();
    connection("lost");
    setTimeout(start, wait);
    wait = Math.min(wait * 2, 5000);
  }

  // A page that comes back from the browser's own cache has a dead connection.
  window.addEventListener("pageshow", (e) => { if (e.persisted) { source?.close(); start(); } });
  start();
}
