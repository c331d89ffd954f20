// Package web is the ground that the windows stand on: pages that a process serves to one person on the machine it runs
// on. The pages themselves are in the packages below, one for the relay node's window and one for a member's.
//
// Loopback is not private: every program of the machine, every user of it and every web page that the person has open
// can reach the port. So a Server guarantees for each request, whatever its path:
//
//   - it listens on a loopback address only, on a random port unless it is told one;
//   - the Host is exactly the one it listens on, so that a foreign name that resolves to 127.0.0.1 gets nothing;
//   - a request that another site or another port caused is refused, whatever its method (Sec-Fetch-Site, Origin,
//     http.CrossOriginProtection);
//   - nothing is served without a cookie (HttpOnly, SameSite=Strict), and the cookie is given only for a token that
//     works once. The token is in the address that URL returns and that the person opens; others see it in the list of
//     processes, when it has done its work;
//   - pages run no inline script and no inline style, load nothing from elsewhere, cannot be framed, send no referrer,
//     are not cached, and where the browser can do it they refuse to turn text into markup at all (Trusted Types).
//
// A page gets its first state rendered by the server and then follows a Feed: numbered events over SSE, resumed by the
// browser with Last-Event-ID. A Feed keeps a bounded number of events and no queue for a client: one that fell behind, or
// that comes from before a restart, is told to fetch the state again.
//
//	browser                                server
//	  | -- GET /?token=… ------------------> |  token unused? cookie, and away with the token
//	  | <- 303 / --------------------------- |
//	  | -- GET /, /static/… ---------------> |  cookie, Host, origin
//	  | -- GET /state ---------------------> |  JSON, with the number of the last event it contains
//	  | -- GET /events?after=… ------------> |  SSE; every event with its number
//	  | -- POST … -------------------------> |  the person's wishes, where a page takes any
//
// It does not protect from a program that reads the memory or the browser profile of the same user.
//
// The folder assets holds what all pages share: web.css (colours, type, parts), dom.js (elements from text nodes only),
// feed.js (the other end of a Feed), window.js (place and size). Text that others wrote is shown with Pieces here and
// with inert() there: characters that hide or reorder text are shown by their numbers.
//
// It may be imported by cmd and by the packages of pages below it.
package web
