// Package uplink keeps one supervised connection to each relay node.
//
// A supervisor for each relay node dials it at all its addresses (the one that worked last first), does the session
// handshake, waits until it is in the topic, keeps a circuit slot there, probes whether it is still there, and begins again,
// with backoff, when any of it is lost. A session here is always the stream to a relay node, never the keys of an epoch.
//
//	addresses: named, of the roster, found on the LAN          changes of the network: watch
//	                    │ New, Follow, Learn                             │
//	                    ▼                                                ▼
//	               Uplink: a supervisor for each relay node: dial ► handshake ► topic ► probes ─┐
//	                    │                 ▲                                   backoff ◄──────────┘
//	                    │ Sink            │ Doubt
//	                    ▼                 │
//	               the owner's goroutine: Table (which is the main one, Offer, Acknowledge, Ask)
//
// # Guarantees
//
// A connection that is dead in one direction, a relay node that is not in the topic, and a change of the network are noticed
// within seconds, and end the session with a reason. What a supervisor tells the Sink comes in order for each relay node.
// Run returns when every goroutine has ended.
//
// # What it does not do
//
// It does not know what the messages mean: it verifies batches, with a function that is passed in, and hands everything on.
// Which requests go to which relay node its owner decides, with the Table, which belongs to the owner's goroutine.
//
// It may be imported by node alone. It imports overlay, overlay/session, overlay/wire and pki.
package uplink
