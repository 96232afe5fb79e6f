package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/version"
)

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(t terminal) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return hint.New("this binary has no build information", "build it with Go's own tools")
	}
	_, err := fmt.Fprintln(t.out, describeBuild(info))
	return err
}

// describeBuild names a binary's release, commit, Go version and platform in a line.
func describeBuild(info *debug.BuildInfo) string {
	setting := map[string]string{}
	for _, s := range info.Settings {
		setting[s.Key] = s.Value
	}
	line := "cfsg " + cmp.Or(version.Release(), info.Main.Version, "(devel)")
	if commit := setting["vcs.revision"]; commit != "" {
		line += " commit " + commit[:min(12, len(commit))]
		if setting["vcs.modified"] == "true" {
			line += " with changes"
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", line, info.GoVersion, setting["GOOS"], setting["GOARCH"])
}
