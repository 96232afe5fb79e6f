// Command release packs what `make release` has built, for people who have neither Go nor a clone:
//
//	release VERSION BUILT DIST
//	release bill FILE...
//
// BUILT holds the programs, in folders named function-ARCH and cfsg-OS-ARCH, and their bills of materials; the text for
// the page of the release, notes.md, is left there. DIST is made anew. The same programs give the same files, byte by
// byte. The second form tidies bills of materials in place.
package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// name is what the files of a release begin with, but for those of cfsg.
const name = "cloudfront-sg-sync"

// semantic matches a version as https://semver.org has it, with the v of Go. The part behind a + is left out: it would
// be one of a URL.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func run(args []string) error {
	if len(args) > 1 && args[0] == "bill" {
		return tidyBills(args[1:])
	}
	if len(args) != 3 {
		return errors.New("usage: release VERSION BUILT DIST, or release bill FILE…")
	}
	r := release{version: args[0], built: args[1], dist: args[2]}
	if !semantic.MatchString(r.version) {
		return fmt.Errorf("%q is not a version such as v1.0.0: run make release VERSION=v1.0.0", r.version)
	}
	if err := os.RemoveAll(r.dist); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dist, 0o755); err != nil {
		return err
	}
	for _, pack := range []func() error{r.packFunctions, r.packCommands, r.packTemplates, r.packOthers, r.writeChecksums, r.writeNotes} {
		if err := pack(); err != nil {
			return err
		}
	}
	return nil
}

// A release is what is packed.
type release struct{ version, built, dist string }

// path returns the path of a file of the release.
func (r release) path(name string) string { return filepath.Join(r.dist, name) }

// functionZip names the zip of the function for an architecture, as Lambda names it.
func (r release) functionZip(arch string) string {
	return fmt.Sprintf("%s_%s_lambda_%s.zip", name, r.version, arch)
}

// everyday are the usual names of what Go calls otherwise.
var everyday = map[string]string{"amd64": "x86_64", "darwin": "macos"}

// usualName returns the usual name of an operating system or an architecture of Go.
func usualName(goName string) string { return cmp.Or(everyday[goName], goName) }

// packFunctions packs the function as Lambda takes it. See
// https://docs.aws.amazon.com/lambda/latest/dg/golang-package.html
func (r release) packFunctions() error {
	folders, err := filepath.Glob(filepath.Join(r.built, "function-*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		_, arch, _ := strings.Cut(filepath.Base(folder), "-")
		program, err := os.ReadFile(filepath.Join(folder, "bootstrap"))
		if err != nil {
			return err
		}
		if err := writeZip(r.path(r.functionZip(usualName(arch))), []entry{{"bootstrap", program, 0o755}}); err != nil {
			return err
		}
	}
	return nil
}

// packCommands packs cfsg for each platform, with the licence and what shells need to complete it.
func (r release) packCommands() error {
	folders, err := filepath.Glob(filepath.Join(r.built, "cfsg-*-*"))
	if err != nil || len(folders) == 0 {
		return err
	}
	accompanying, err := completions(filepath.Join(r.built, "cfsg"))
	if err != nil {
		return err
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	accompanying = append(accompanying, entry{"LICENSE", license, 0o644})
	for _, folder := range folders {
		system, arch, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), "cfsg-"), "-")
		archive := r.path(strings.Join([]string{"cfsg", r.version, usualName(system), usualName(arch)}, "_"))
		program, write, suffix := "cfsg", writeTarGz, ".tar.gz"
		if system == "windows" {
			program, write, suffix = "cfsg.exe", writeZip, ".zip"
		}
		code, err := os.ReadFile(filepath.Join(folder, program))
		if err != nil {
			return err
		}
		if err := write(archive+suffix, append([]entry{{program, code, 0o755}}, accompanying...)); err != nil {
			return err
		}
	}
	return nil
}

// others are files of the repository that people need to install the function, and to publish it in the AWS Serverless
// Application Repository.
var others = []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/member-role.yaml", "docs/starter-groups.yaml", "docs/deployer-policy.json"}

// packOthers copies the other files, and the bills of materials that were written.
func (r release) packOthers() error {
	bills, err := filepath.Glob(filepath.Join(r.built, "*.cdx.json"))
	if err != nil {
		return err
	}
	if err := tidyBills(bills); err != nil {
		return err
	}
	for _, file := range slices.Concat(others, bills) {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.path(filepath.Base(file)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeChecksums writes the file that `sha256sum -c SHA256SUMS` checks.
func (r release) writeChecksums() error {
	files, err := os.ReadDir(r.dist)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(r.path(file.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), file.Name())
	}
	return os.WriteFile(r.path("SHA256SUMS"), []byte(sums.String()), 0o644)
}
