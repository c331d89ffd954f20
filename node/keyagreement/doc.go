// Package keyagreement turns the shares of the members present into the group's session key, Kabc.
//
// It is the protocol of overlay/SPEC.md section 6 as a state machine that is stepped: Step(now, input) returns what is
// to be done and does nothing itself. It has no goroutine, opens no file and no socket and reads no clock; randomness,
// signing and verifying are given to it. The same inputs at the same times give the same outputs.
//
//	A                          relay node                         B
//	| request(want, instance A) ------------------------------->  |
//	| <-------------------------------- request(instance B)       |
//	| opening{number, S = A,B} -------------------------------->  |   epoch ID = SHA-256(opening)
//	| announcement{c_A} ------------->  <------- announcement{c_B} |   c = SHA-256(.., s, blind)
//	| envelope{RSA-OAEP_B(s_A, blind_A)} ---------------------->  |   one for every other member of the roster,
//	| <--------------------- envelope{RSA-OAEP_A(s_B, blind_B)}   |   by mailbox to those who are away
//	|   Kabc = s_A xor s_B, transcript, PRK                       |
//	| confirmation{transcript, MAC} --> <----- confirmation{..}   |
//
// # What it guarantees
//
// Honest members that can exchange messages come to use one session. No two of them ever hold one transcript with
// different keys, whatever the relay node and the other members do. A share is drawn once for one (instance, epoch).
// After a roster that removes a member, nothing is sent under an epoch that this member could read.
//
// # What it does not
//
// It has no forward secrecy against the loss of a member's RSA key (SPEC.md says what the suite field is for). It does
// not hide who talks to whom, and a relay node that drops everything stops it: safety never rests on the relay node,
// progress does.
//
// # The contract with its driver
//
// All Persist and Erase outputs of one Step, together with the frame state that the driver derives from a Completed of
// that Step, are committed in ONE durable transaction BEFORE any other output of that Step is performed. Outputs are
// performed in their order. The driver may crash at any point and lose any output: a machine made by New from the
// committed records sends again what is needed. Wrap and Unwrap are private-key or public-key work for other
// goroutines; package envelope does it.
//
// The package may be imported by package node and its tests. It imports its own rooms, overlay/wire and the standard
// library; the relay node must not link it.
package keyagreement
