package cli

import ma "github.com/multiformats/go-multiaddr"

// Multiaddrs reads the addresses that a flag names. hint says what one looks like there.
func Multiaddrs(flag string, list []string, hint string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, WithHint(Usagef("%s %q is not a multiaddr: %w", flag, s, err), hint)
		}
		all = append(all, a)
	}
	return all, nil
}
