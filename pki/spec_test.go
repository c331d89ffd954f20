package pki_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"conclave/pki"
)

// TestSpecification checks the worked example and the list of classes in SPEC.md section 2 against the frozen files.
func TestSpecification(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../overlay/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## 2. ")
	if !ok {
		t.Fatal("no section 2")
	}
	section, _, _ = strings.Cut(section, "\n## 3. ")
	g, r := vectorGroup(t)
	code := func(s string) string { return "`" + s + "`" }
	pair := pki.PairCode(g.ID, r.Members[0].Certificate, r.Members[1].Certificate)
	for what, want := range map[string]string{
		"roster hash": code(r.Hash.String()), "group code": code(pki.GroupCode(g)), "pair code": code(pair),
		"member OID": pki.OIDMember.String(), "relay OID": pki.OIDRelay.String(), "request OID": pki.OIDRequestRSA.String(), "request's group OID": pki.OIDRequestGroup.String(),
		"domain": code(pki.RosterDomain), "payload type": code(pki.RosterCodec),
	} {
		if !strings.Contains(section, want) {
			t.Errorf("%s: %s is not in section 2", what, want)
		}
	}
	for class := range classes {
		if !strings.Contains(section, "`"+class+"`") {
			t.Errorf("class %s is not in section 2", class)
		}
	}
	if example := exampleHex(section); !strings.HasPrefix(hex.EncodeToString(r.Envelope), example) || len(example) != 218 {
		t.Errorf("the example is not how the roster begins: %s (%d digits)", example, len(example))
	}
}

// exampleHex joins the hex columns of the example's lines, which are indented by four.
func exampleHex(section string) string {
	var all strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^ {4} *((?:[0-9a-f]{2,} ?)+)(?:  |$)`).FindAllStringSubmatch(section, -1) {
		all.WriteString(strings.ReplaceAll(line[1], " ", ""))
	}
	return all.String()
}
