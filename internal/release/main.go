// Command release makes the parts of a release that GoReleaser cannot:
//
//	release files VERSION FOLDER
//	release bill FILE
//
// The first writes into FOLDER the text for the page of the release, notes.md, the manual page of cfsg, cfsg.1, and, in
// the folder files, the template that needs no build. The second adds licences to a bill of materials, in place.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// semantic matches a version of https://semver.org with Go's v, but without build metadata: URLs encode its +.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "bill":
		return tidyBill(args[1])
	case len(args) != 3 || args[0] != "files":
		return errors.New("usage: release files VERSION FOLDER, or release bill FILE")
	case !semantic.MatchString(args[1]):
		return fmt.Errorf("%q is not a version such as v1.0.0: run make release VERSION=v1.0.0", args[1])
	}
	r := release{version: args[1], folder: args[2]}
	if err := os.MkdirAll(filepath.Join(r.folder, "files"), 0o755); err != nil {
		return err
	}
	for _, write := range []func() error{r.writeTemplate, r.writeManual, r.writeNotes} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// A release has a version and a folder.
type release struct{ version, folder string }
