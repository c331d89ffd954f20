package webtest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"conclave/overlay/longtest"

	"github.com/chromedp/chromedp"
)

// Axe returns the source of axe-core, which checks pages for what keeps people from using them, or "" where it is not
// there; in CI it must be. It is no part of this repository: CONCLAVE_AXE names the file axe.min.js of its npm package.
func Axe(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CONCLAVE_AXE")
	switch {
	case path == "" && longtest.InCI():
		t.Fatal("CONCLAVE_AXE is not set, and CI=true: it names axe-core's axe.min.js")
	case path == "":
		t.Log("not checked for accessibility: CONCLAVE_AXE does not name axe-core's axe.min.js")
		return ""
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// violation is what axe-core reports.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Accessible returns what axe-core finds serious or critical on the page as it is. Without axe-core it finds nothing.
func (tab *Tab) Accessible(axe string) (serious []string) {
	tab.t.Helper()
	if axe == "" {
		return nil
	}
	if Eval[bool](tab, `typeof axe === "undefined"`) {
		tab.Do(chromedp.Evaluate[chromedp.Void](axe))
	}
	for _, v := range Eval[[]violation](tab, `axe.run(document, { preload: false, resultTypes: ["violations"] }).then((r) => r.violations)`) {
		for _, n := range v.Nodes {
			text := fmt.Sprintf("%s (%s): %s: %s: %s", v.ID, v.Impact, v.Help, n.HTML, strings.Join(strings.Fields(n.Summary), " "))
			if v.Impact == "serious" || v.Impact == "critical" {
				serious = append(serious, text)
				continue
			}
			tab.t.Log(text)
		}
	}
	return serious
}
