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
	"slices"
	"strings"
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

// writeManual writes the manual page of cfsg: the help texts, unchanged. See man-pages(7).
func (r release) writeManual() error {
	files, err := filepath.Glob("cmd/cfsg/help/*.txt")
	if err != nil {
		return err
	}
	// The page begins with cfsg itself.
	own := filepath.Join("cmd", "cfsg", "help", "cfsg.txt")
	files = append([]string{own}, slices.DeleteFunc(files, func(file string) bool { return file == own })...)
	var page strings.Builder
	fmt.Fprintf(&page, ".TH CFSG 1 \"\" %q\n.SH NAME\n", r.version)
	page.WriteString("cfsg \\- let CloudFront in at an origin on AWS, and tell who else gets in\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		heading := strings.ToUpper(strings.TrimSuffix(filepath.Base(file), ".txt"))
		if heading == "CFSG" {
			heading = "DESCRIPTION"
		}
		page.WriteString(".SH " + heading + "\n.nf\n" + roff.Replace(string(text)) + ".fi\n")
	}
	return os.WriteFile(filepath.Join(r.folder, "cfsg.1"), []byte(page.String()), 0o644)
}

// roff escapes a backslash, a hyphen and a dot at the start of a line. See groff_char(7).
var roff = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\n.", "\n\\&.",
)

// whichFile lists the files of a release and their uses. VERSION stands for the release.
const whichFile = `
### Which file to take

| for | file |
|---|---|
| cfsg on a Mac with Apple silicon, or with an Intel processor | cfsg_VERSION_macos_arm64.tar.gz, cfsg_VERSION_macos_x86_64.tar.gz |
| cfsg on Windows, or on Windows on Arm | cfsg_VERSION_windows_x86_64.zip, cfsg_VERSION_windows_arm64.zip |
| cfsg on Debian and Ubuntu, or on Arm | cfsg_VERSION_linux_x86_64.deb, cfsg_VERSION_linux_arm64.deb |
| cfsg on Fedora, RHEL and Amazon Linux, or on Arm | cfsg_VERSION_linux_x86_64.rpm, cfsg_VERSION_linux_arm64.rpm |
| cfsg on another Linux, or on Arm | cfsg_VERSION_linux_x86_64.tar.gz, cfsg_VERSION_linux_arm64.tar.gz |
| the function, by CloudFormation | cloudfront-sg-sync_VERSION.template.json, and cloudfront-sg-sync_VERSION_lambda_arm64.zip in a bucket of yours |
| the function, by Terraform | cloudfront-sg-sync_VERSION_lambda_arm64.zip |
| the function on x86_64 | cloudfront-sg-sync_VERSION_lambda_x86_64.zip instead |
| the role in other accounts | member-role.yaml |
| changes of tags and rules from other regions and accounts | forward-changes.yaml |
| a list of the modules in a program (CycloneDX) | the file of the same name that ends with .cdx.json |

Check what you took: sha256sum --ignore-missing -c SHA256SUMS, or shasum -a 256 on a Mac. A Mac runs cfsg from a browser's download
only after xattr -d com.apple.quarantine cfsg, because it is not notarized.
`

// writeNotes writes the text for the page of the release: its section of CHANGELOG.md, and the list of files.
func (r release) writeNotes() error {
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	changes, ok := r.changes(string(changelog))
	if !ok {
		return fmt.Errorf("CHANGELOG.md has neither a section for %s nor [Unreleased]", r.version)
	}
	text := strings.TrimSpace(changes) + "\n" + strings.ReplaceAll(whichFile, "VERSION", r.version)
	return os.WriteFile(filepath.Join(r.folder, "notes.md"), []byte(text), 0o644)
}

// changes returns the section of a changelog about the release or, if there is none yet, the section "Unreleased".
func (r release) changes(changelog string) (string, bool) {
	for _, heading := range []string{"\n## [" + strings.TrimPrefix(r.version, "v") + "]", "\n## [Unreleased]"} {
		if _, section, ok := strings.Cut(changelog, heading); ok {
			_, section, _ = strings.Cut(section, "\n") // the rest of the heading, a date
			section, _, _ = strings.Cut(section, "\n## [")
			return section, true
		}
	}
	return "", false
}
