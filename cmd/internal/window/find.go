package window

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Find returns the path of a browser that can open windows of their own, or false.
func Find() (string, bool) { return find(runtime.GOOS, os.Getenv, exec.LookPath, isFile) }

// find is Find with the system passed in.
func find(goos string, getenv func(string) string, look func(string) (string, error), isFile func(string) bool) (string, bool) {
	for _, name := range onPath[goos] {
		if path, err := look(name); err == nil {
			return path, true
		}
	}
	for _, path := range places(goos, getenv) {
		if isFile(path) {
			return path, true
		}
	}
	return "", false
}

// onPath are the names of the browsers' commands, the best first.
var onPath = map[string][]string{
	"linux": {
		"google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome", "microsoft-edge", "microsoft-edge-stable",
		"brave-browser", "brave",
	},
	"freebsd": {"chrome", "chromium", "brave"},
	"openbsd": {"chrome", "chromium"},
	"windows": {"chrome", "msedge", "brave"},
}

// places are where browsers are that are not on the path.
func places(goos string, getenv func(string) string) (paths []string) {
	add := func(folders []string, names ...string) {
		for _, name := range names {
			for _, folder := range folders {
				if folder != "" {
					paths = append(paths, filepath.Join(folder, filepath.FromSlash(name)))
				}
			}
		}
	}
	switch goos {
	case "darwin":
		folders := []string{"/Applications"}
		if home := getenv("HOME"); home != "" {
			folders = append(folders, filepath.Join(home, "Applications"))
		}
		add(folders, "Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium",
			"Microsoft Edge.app/Contents/MacOS/Microsoft Edge", "Brave Browser.app/Contents/MacOS/Brave Browser")
	case "windows":
		add([]string{getenv("ProgramFiles"), getenv("ProgramFiles(x86)"), getenv("LocalAppData")},
			"Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe",
			"BraveSoftware/Brave-Browser/Application/brave.exe")
	case "linux":
		add([]string{"/opt"}, "google/chrome/chrome", "microsoft/msedge/msedge", "brave.com/brave/brave")
	}
	return paths
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Screen says whether there is a screen to show windows on.
func Screen() bool { return screen(runtime.GOOS, os.Getenv) }

func screen(goos string, getenv func(string) string) bool {
	switch goos {
	case "windows", "darwin":
		return true
	}
	return getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}
