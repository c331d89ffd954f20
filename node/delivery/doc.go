// Package delivery decides what becomes of messages: SPEC 7.3 to 7.5.
//
// A Machine takes what this member says and what others send, and says what is to be done. It is stepped: it has no
// goroutine, no clock, no network and no disk, so every order of events can be tested.
//
//	  Say, Use, Hold ──► outbox ──► flights ──► Publish, Store        Stored ──► flights ──► Relayed
//	                       ▲  seals   │ until somebody acknowledges
//	                     acks         ▼
//	                       ▲       mine ──► Done, Delivered, Flushed
//	                       │         ▲
//	Received, Fetched ──► reader ────┴──► Remember, Show
//	   Heads ──────────►    │ lanes, by sender; previous holds back what must come later
//	                        ▼
//	                     fetcher ──► Ask, Gap
//
// What it guarantees: a message of this member is sealed, and stays in the outbox, until a relay node holds it or a member has
// shown it. The texts of one sender are shown in the order in which they were said, each once. What is missing is asked for
// from everybody who is there, and given up, with a Gap, only after it could be asked for long enough.
//
// What it does not: it verifies no signature (its owner did), and it remembers nothing beyond a restart but what it is
// made of. Whoever owns it gives it the sessions of the key agreement, performs the outputs in their order, and commits
// what Remember and Commit say together with the states of the sessions.
//
// Each part of it (a file) decides one thing, and knows of the others no more than the functions that New gives it.
//
// It may be imported by node.
package delivery
