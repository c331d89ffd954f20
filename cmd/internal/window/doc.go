// Package window opens pages as windows of their own: without tabs and address bar, in one throw-away profile of a
// browser that is installed.
//
// It looks for Chrome, Chromium, Edge and Brave, in this order, on the path and where Linux, macOS and Windows keep them.
// The first page starts the browser, the others are handed to it. Nothing of the person's own profile is read or written,
// and the folder with the throw-away one is the caller's to remove once Close has returned.
//
// The address given to a browser is on its command line, which others on the machine can read: it must be one that works
// once. The browser places the first window only where its switches say, so pages place themselves.
//
// Where no such browser is, Tab opens an address in the person's own browser, as far as the platform knows which.
//
// It knows nothing of Conclave. It may be imported by cmd.
package window
