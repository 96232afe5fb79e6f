package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"cloudfront-sg-sync/internal/version"
)

type versionCommand struct{}

// Run prints the release, or the commit as Go writes it into a build that is none: https://go.dev/doc/go1.24#go-command
func (versionCommand) Run(t terminal) error {
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Version
	}
	_, err := fmt.Fprintf(t.out, "cfsg %s, %s %s/%s\n", cmp.Or(version.Release(), module, "(devel)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
