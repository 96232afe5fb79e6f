package main

import (
	"slices"

	"cloudfront-sg-sync/secgroup"
)

// A socket is what rules with the same protocol and ports are listed under.
type socket struct {
	socket  string
	sources []string
}

// bySocket sorts rules by protocol and ports.
func bySocket(rules []secgroup.Rule) []socket {
	var sockets []socket
	for _, r := range rules {
		name := r.Protocol + " " + r.Ports()
		i := slices.IndexFunc(sockets, func(s socket) bool { return s.socket == name })
		if i < 0 {
			i = len(sockets)
			sockets = append(sockets, socket{socket: name})
		}
		sockets[i].sources = append(sockets[i].sources, r.Source.String())
	}
	return sockets
}
