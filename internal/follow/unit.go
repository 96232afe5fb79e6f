package follow

import (
	_ "embed"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// A Unit is a systemd service with a timer.
type Unit struct {
	Name     string // of the service and its timer
	File     string
	Command  []string // with absolute paths
	Writable []string // folders that the command, its check and its reload write to
	Every    time.Duration
}

//go:embed unit.tmpl
var unitText string

var unit = template.Must(template.New("unit").Funcs(template.FuncMap{"quoted": quoted}).Parse(unitText))

// String returns the texts of the service and of the timer, each below its path, as systemctl cat prints them.
func (u Unit) String() string {
	u.File = strings.ReplaceAll(u.File, "%", "%%")
	var text strings.Builder
	if err := unit.Execute(&text, u); err != nil {
		panic(err) // the template is part of the program
	}
	return text.String()
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9_./:@=,-]+$`)

// quoted writes a word as systemd reads it: systemd.service(5), "Command lines", and systemd.unit(5), "Specifiers".
func quoted(word string) string {
	if harmless.MatchString(word) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "%", "%%", "$", "$$").Replace(word) + `"`
}

// UnitName derives the name of a unit from the path of a file.
func UnitName(file string) string {
	name := regexp.MustCompile(`[^A-Za-z0-9_.]+`).ReplaceAllString(strings.Trim(file, "/"), "-")
	return "cfsg-follow-" + name
}
