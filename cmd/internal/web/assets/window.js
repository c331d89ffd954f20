// Place and size of an app window, from the page's address. The browser honours its own switches for the first window
// only, so each window places itself: ?tile=0 to ?tile=3 is a quarter of the screen (top left, top right, bottom left,
// bottom right), ?x=&y=&w=&h= an exact place.

/** place moves and sizes the window as its address asks, and takes that out of the address. */
export function place() {
  const query = new URLSearchParams(location.search);
  const number = (name) => (/^\d{1,5}$/.test(query.get(name) ?? "") ? Number(query.get(name)) : NaN);
  const tile = number("tile");
  if (tile <= 3) {
    const { availLeft = 0, availTop = 0, availWidth, availHeight } = screen;
    const [w, h] = [Math.floor(availWidth / 2), Math.floor(availHeight / 2)];
    put(availLeft + (tile % 2) * w, availTop + (tile >> 1) * h, w, h);
  } else {
    put(number("x"), number("y"), number("w"), number("h"));
  }
  if (location.search) history.replaceState(null, "", location.pathname);
}

// put does nothing for what is not a number. Moving comes first and last: a window that would stick out of the screen
// is made smaller, and one that was too large cannot be moved where it belongs.
function put(x, y, w, h) {
  if (x >= 0 && y >= 0) window.moveTo(x, y);
  if (w > 0 && h > 0) window.resizeTo(w, h);
  if (x >= 0 && y >= 0) window.moveTo(x, y);
}
