// Package loopback knows the names of this machine.
package loopback

import "net/netip"

// Is reports whether a host, as a URL or a listener names it, is this machine: a loopback address, or localhost, which
// resolves to nothing else (RFC 6761).
func Is(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
