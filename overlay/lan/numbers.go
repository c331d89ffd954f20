package lan

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"conclave/overlay/wire"
)

// Specification constants (SPEC.md section 3.1).
const (
	// nameDomain begins what is hashed to the service's name.
	nameDomain = "conclave lan v1"
	// nameBytes is how much of the hash the name holds.
	nameBytes = 15
	// port is the port of multicast DNS.
	port = 5353
	// addrPrefix begins a text that holds an address.
	addrPrefix = "dnsaddr="
	// recordLife is how long an announcement holds, in seconds.
	recordLife = 120
	// maxPacket is the largest packet that is read, in bytes.
	maxPacket = 9000
	// maxTexts is how many texts of one packet are looked at.
	maxTexts = 32
	// maxRecords is how many records of one packet are looked at.
	maxRecords = 64
)

// Implementation constants; all arbitrary within a factor of a few.
const (
	askFirst    = time.Second      // from the first question to the second; doubled each time
	askLongest  = 20 * time.Second // up to this
	answerEvery = 500 * time.Millisecond
	watchEvery  = 2 * time.Second // how often it is looked whether the interfaces changed
	// A node asks every 20 s and answers each of the others: a hundred nodes on one link make five questions a second,
	// and two answers a second each.
	totalRate, totalBurst   = 300, 600
	senderRate, senderBurst = 10, 40
	maxSenders              = 1024 // whose rate is kept track of; beyond that the oldest is forgotten
)

// serviceName returns the name that a group's nodes look for: nothing that a stranger could take the group's ID from.
func serviceName(g wire.GroupID) string {
	sum := sha256.Sum256(append([]byte(nameDomain), g[:]...))
	return "_" + hex.EncodeToString(sum[:nameBytes]) + "._udp.local."
}
