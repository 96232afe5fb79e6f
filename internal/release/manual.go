package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

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
