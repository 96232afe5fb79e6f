package main

import (
	"fmt"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/secgroup"
)

// countOf says how many there are of something.
func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// portsOf says which ports a rule opens.
func portsOf(id secgroup.RuleID) string {
	switch {
	case id.From < 0:
		return "all"
	case id.From == id.To:
		return fmt.Sprint(id.From)
	}
	return fmt.Sprintf("%d-%d", id.From, id.To)
}

func joinPrefixes(prefixes []netip.Prefix) string {
	var words []string
	for _, p := range prefixes {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

// thousands writes a number in groups of three digits.
func thousands(n uint64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
