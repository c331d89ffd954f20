package pki

import "errors"

// Why a group's own certificate is refused.
var (
	// ErrGroup is returned when a certificate is not the certificate of a group's CA.
	ErrGroup = errors.New("not the CA certificate of a group")
)

// Why a member's or relay node's certificate is refused. VerifyCertificate wraps exactly one of them.
var (
	// ErrTooLarge is returned for a certificate of more than 8 KiB, before it is parsed.
	ErrTooLarge = errors.New("the certificate is too large")
	// ErrMalformed is returned for bytes that are not one X.509 certificate.
	ErrMalformed = errors.New("not an X.509 certificate")
	// ErrChainTooLong is returned when further certificates come with the leaf: the CA signs every leaf itself.
	ErrChainTooLong = errors.New("the certificate chain is longer than two")
	// ErrOtherGroup is returned for a certificate that claims to belong to another group, and was not signed by this one.
	ErrOtherGroup = errors.New("the certificate belongs to another group")
	// ErrWrongCA is returned for a certificate that claims to belong to this group, but was not signed by its CA key.
	ErrWrongCA = errors.New("the certificate was not signed by the group's CA")
	// ErrNotYetValid is returned before a certificate's first second.
	ErrNotYetValid = errors.New("the certificate is not yet valid")
	// ErrExpired is returned after a certificate's last second.
	ErrExpired = errors.New("the certificate has expired")
	// ErrUnknownCritical is returned for a critical extension that the profile does not have.
	ErrUnknownCritical = errors.New("the certificate has an unknown critical extension")
	// ErrUnknownExtension is returned for any other extension that the profile does not have.
	ErrUnknownExtension = errors.New("the certificate has an unknown extension")
	// ErrIsCA is returned for a leaf that says it is a CA.
	ErrIsCA = errors.New("the certificate is that of a CA")
	// ErrExtKeyUsage is returned when the extended key usage is not exactly the one for members or for relay nodes.
	ErrExtKeyUsage = errors.New("the certificate has a wrong or no extended key usage")
	// ErrKeyUsage is returned when the key usage is not exactly keyEncipherment (member) or digitalSignature (relay node).
	ErrKeyUsage = errors.New("the certificate has a wrong or no key usage")
	// ErrKeyType is returned when the key is not RSA (member) or Ed25519 (relay node).
	ErrKeyType = errors.New("the certificate has a key of the wrong type")
	// ErrRSASize is returned for an RSA key of fewer than 3072 or more than 4096 bits, before it is used.
	ErrRSASize = errors.New("the RSA key has the wrong size")
	// ErrRSAExponent is returned for an RSA key whose public exponent is not 65537.
	ErrRSAExponent = errors.New("the RSA key has a wrong public exponent")
	// ErrSANCount is returned when there is not exactly one subject alternative name, or it is not a URI.
	ErrSANCount = errors.New("the certificate does not have exactly one URI name")
	// ErrSANForm is returned for a URI name that is not written exactly as libp2p://<host>/peer/<peer ID>.
	ErrSANForm = errors.New("the certificate's URI name is not in canonical form")
	// ErrSANGroup is returned for a URI name under another group's host, in a certificate that this group's CA signed.
	ErrSANGroup = errors.New("the certificate's URI name is outside the group")
	// ErrRole is returned when the subject is not exactly one common name that is a role.
	ErrRole = errors.New("the certificate's subject is not a role")
	// ErrProfile is returned for any other deviation from the profile, and names it.
	ErrProfile = errors.New("the certificate is outside the profile")
	// ErrOtherPeer is returned when a certificate is presented by a peer other than the one that it names.
	ErrOtherPeer = errors.New("the certificate belongs to another peer")
	// ErrNotInRoster is returned for a valid certificate whose holder is not, or no longer, in the roster.
	ErrNotInRoster = errors.New("the certificate's holder is not in the roster")
)

// Why a roster is refused.
var (
	// ErrRoster is returned for bytes that are not a roster, or one that breaks a rule of SPEC.md section 2.4.
	ErrRoster = errors.New("not a valid roster")
	// ErrRosterSignature is returned when a roster was not signed by the group's CA key.
	ErrRosterSignature = errors.New("the roster was not signed by the group's CA")
	// ErrRosterGroup is returned for a roster that the CA key signed for another group.
	ErrRosterGroup = errors.New("the roster belongs to another group")
	// ErrRosterFromFuture is returned for a roster issued more than a day after now: one of two clocks is wrong.
	ErrRosterFromFuture = errors.New("the roster was issued in the future")
	// ErrRosterOlder is returned when a roster would replace one with a higher version.
	ErrRosterOlder = errors.New("the roster is older than the one known")
	// ErrRosterConflict is returned for two different rosters with one version: the authority signed both, or its key is
	// in wrong hands. The first one seen stays; the group's keeper has to know.
	ErrRosterConflict = errors.New("two different rosters have the same version")
)
