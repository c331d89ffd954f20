// Package batch signs and verifies topic messages.
//
// A batch is one pubsub message: one or more items (sealed frames, or key agreement messages) of one sender under one
// Ed25519 signature by the sender's identity key, over the topic's name and every byte of the batch before the
// signature. Signing and verifying cost more than everything else that happens to a short message, so a sender that
// has several frames waiting puts them into one batch.
//
// What it guarantees: what Verify returns was signed, whole and for this topic, by the key that it names. A batch of
// another topic, and so of another group, does not verify.
//
// What it does not: it says nothing about who that key is. The caller looks it up in the roster, and refuses a batch in
// which any frame's sender is not the signer (package frame does that as it opens). It does not detect a replay either;
// frames have counters for that.
//
// A batch is named by the SHA-256 of all its bytes, the signature included (wire.BatchIDOf). Routers remember names they
// have seen before they look at the content; because the name covers everything, a forged copy has another name and
// cannot suppress the real batch.
//
// The format is SPEC.md section 7.2; overlay/wire reads and writes it. The package may be imported by overlay,
// relaynode and node. It opens no frame and holds no key longer than a call.
package batch
