package main

import (
	"fmt"
	"net/netip"
	"strings"

	"cloudfront-sg-sync/internal/document"
)

// shellQuoted writes a word as a shell reads it.
func shellQuoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@=+,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func joinPrefixes(prefixes []netip.Prefix) string {
	return strings.Join(document.PrefixNames(prefixes), ", ")
}

// thousands writes a number in groups of three digits.
func thousands(n uint64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
