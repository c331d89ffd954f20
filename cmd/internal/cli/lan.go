package cli

import (
	"fmt"
	"net"
	"strings"
)

// LANHelp is what --lan takes, for a help text.
const LANHelp = "on, off, or the names of the interfaces to use, separated by commas"

// LAN reads the value of --lan. auto is what "auto" stands for.
func LAN(value string, auto bool) (on bool, interfaces []string, err error) {
	switch value {
	case "auto":
		return auto, nil, nil
	case "on":
		return true, nil, nil
	case "off":
		return false, nil, nil
	}
	names := strings.Split(value, ",")
	for _, name := range names {
		if _, err := net.InterfaceByName(name); err != nil {
			return false, nil, WithHint(Usage(fmt.Errorf("--lan %q: this machine has no network interface of that name", name)), "give "+LANHelp)
		}
	}
	return true, names, nil
}
