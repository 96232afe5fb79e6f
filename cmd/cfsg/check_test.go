package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// A host is what its name resolves to.
func TestCheckOfAHost(t *testing.T) {
	asked := lookup
	t.Cleanup(func() { lookup = asked })
	lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if host != "origin.example.com" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("198.51.100.8")}, nil
	}
	o := newOriginSite(t, openShop)
	if stdout := o.must("check", "--address", "origin.example.com"); !strings.Contains(stdout, "198.51.100.8") || strings.Contains(stdout, "198.51.100.9") {
		t.Error(stdout)
	}
	if code, _, stderr := o.cfsg(t.Context(), "check", "www.example.com"); code != exitError || !strings.Contains(stderr, "www.example.com is neither an IP address nor a name that has one") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
