package uplink

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// defaultRoutes names the kernel's default routes: gateway, interface and metric of each.
func defaultRoutes() string {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_UNSPEC)
	if err != nil {
		return ""
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return ""
	}
	var routes []string
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg || m.Data[1] != 0 {
			continue // its second byte is the length of the destination: 0 for a default route
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			continue
		}
		var route strings.Builder
		for _, a := range attributes {
			switch a.Attr.Type {
			case syscall.RTA_GATEWAY, syscall.RTA_OIF, syscall.RTA_PRIORITY, syscall.RTA_MULTIPATH:
				fmt.Fprintf(&route, "%d=%x,", a.Attr.Type, a.Value)
			}
		}
		routes = append(routes, route.String())
	}
	slices.Sort(routes)
	return strings.Join(routes, " ")
}
