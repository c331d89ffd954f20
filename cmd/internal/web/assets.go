package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed assets
var embedded embed.FS

// shared returns the files that all pages share.
func shared() fs.FS {
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// assets serves a fixed set of files under a path that contains their hash.
type assets struct {
	prefix string // "/static/<hash>/"
	files  map[string][]byte
}

// contentTypes are the kinds of files that there are. The platform's own table would differ from machine to machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
}

// newAssets reads all files of the file systems. A name that two of them have is an error, as is a kind nobody knows.
func newAssets(all []fs.FS) (*assets, error) {
	a := &assets{files: make(map[string][]byte)}
	for _, fsys := range all {
		err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if contentTypes[path.Ext(name)] == "" {
				return fmt.Errorf("%s is of no kind that a page needs", name)
			}
			if _, twice := a.files[name]; twice {
				return fmt.Errorf("there are two files %s", name)
			}
			a.files[name], err = fs.ReadFile(fsys, name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		fmt.Fprintf(hash, "%s %d\n", name, len(a.files[name]))
		hash.Write(a.files[name])
	}
	a.prefix = "/static/" + hex.EncodeToString(hash.Sum(nil)[:8]) + "/"
	return a, nil
}

// path returns where a file is served. It panics for a file that is not there: names are written in templates.
func (a *assets) path(name string) string {
	if _, ok := a.files[name]; !ok {
		panic("web: there is no file " + name)
	}
	return a.prefix + name
}

// ServeHTTP implements http.Handler.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, a.prefix)
	data, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
