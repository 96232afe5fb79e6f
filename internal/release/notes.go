package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
