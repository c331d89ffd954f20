package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
)

// inSource is how texts of the source name a command. It is what works in Conclave's source folder; whoever runs binaries is
// shown how those are called.
var inSource = regexp.MustCompile(regexp.QuoteMeta(sourcePrefix) + `\w+`)

const sourcePrefix = "go run ./cmd/"

// called returns how the command name is called by who called the command own as program, which is os.Args[0].
func called(program, own, name string) string {
	folder, file := filepath.Split(program)
	if fromSource(folder) {
		return sourcePrefix + name
	}
	call := Beside(program, own, name)
	if !strings.Contains(file, own) { // renamed
		call = name
		if name == own {
			call = program
		}
	}
	if strings.ContainsAny(call, " \t") {
		return fmt.Sprintf("%q", call)
	}
	return call
}

// Beside returns the path of the command name beside the command own, which is program, and named as that is: beside
// bin/conclave-demo it is bin/conclave-node. One that was renamed says nothing about the others.
func Beside(program, own, name string) string {
	folder, file := filepath.Split(program)
	at := strings.LastIndex(file, own)
	if at < 0 {
		return folder + name
	}
	return folder + file[:at] + name + file[at+len(own):]
}

// fromSource reports whether a folder is one in which go run and go test leave what they build: a temporary one, or one of
// the build cache.
func fromSource(folder string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(folder), "/") {
		if strings.HasPrefix(part, "go-build") {
			return true
		}
	}
	return false
}

// version is what --version prints after the command's name: which source, which Go, which platform.
func version() string {
	what := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		what = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && what == "(devel)" {
				what += " " + s.Value
			}
		}
	}
	return fmt.Sprintf("%s, %s, %s/%s", what, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// asStarted returns how this process was called.
func asStarted() string {
	if len(os.Args) == 0 {
		return ""
	}
	return os.Args[0]
}
