package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// keys returns the settings that a configuration file may have, as they are written in one.
func keys(of reflect.Type, prefix string) (all []string) {
	for f := range of.Fields() {
		name := prefix + f.Tag.Get("toml")
		if f.Type.Kind() == reflect.Struct {
			all = append(all, keys(f.Type, name+".")...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// TestConfigurationIsDocumented: OPERATING.md has every setting and no other, and its example is one that is taken.
func TestConfigurationIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## A configuration file for the relay node\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	if want := keys(reflect.TypeFor[fileConfig](), ""); !slices.Equal(documented, want) {
		t.Errorf("documented are %q, there are %q", documented, want)
	}
	example := strings.Join(regexp.MustCompile("(?m)^    (.*)$").FindAllString(section, -1), "\n")
	path := filepath.Join(t.TempDir(), "relay.toml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(path)
	if err != nil || len(c.Listen) == 0 || c.Limits.BacklogDays == 0 {
		t.Errorf("the example is read as %+v, %v", c, err)
	}
}
