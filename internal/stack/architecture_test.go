package stack

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const architectureFile = "docs/architecture.md"

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	// named is a test, a file or, in the table, a room that the page names.
	named = regexp.MustCompile("(?m)\\b(?:Test|Fuzz)[A-Z]\\w*|[\\w/]+\\.go\\b|^\\| `[a-z0-9/]+` \\|")
	// stop is a function in the drawing, and its file.
	stop = regexp.MustCompile(`"(?:\d )?(?:(\w+)\.)?(\w+) · ([\w/]+\.go)(?:<br>|")`)
)

// goFiles returns the Go code of the project, by the paths of its files.
func goFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err == nil && entry.IsDir() && slices.Contains([]string{".git", "build", "dist", "testdata", ".aws-sam"},
			entry.Name()):
			return fs.SkipDir
		case err == nil && path.Ext(name) == ".go":
			files[name] = read(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The rooms, files and tests on the page of the architecture are those of the tree.
func TestArchitecture(t *testing.T) {
	page, files, known := read(t, architectureFile), goFiles(t), map[string]bool{}
	for name, text := range files {
		folder := path.Dir(name)
		known[folder], known[name], known[path.Base(name)] = true, true, true
		for _, test := range testFunc.FindAllStringSubmatch(text, -1) {
			known[test[1]] = true
		}
		if !strings.Contains(page, "`"+folder+"`") {
			t.Errorf("%s does not name the room of %s", architectureFile, name)
		}
	}
	for _, name := range named.FindAllString(page, -1) {
		if name = strings.Trim(name, "|` "); !known[name] {
			t.Errorf("%s names %s, which is nowhere", architectureFile, name)
		}
	}
	stops := stop.FindAllStringSubmatch(page, -1)
	if len(stops) != 9 { // eight, and the checker
		t.Errorf("%s draws %d functions", architectureFile, len(stops))
	}
	for _, s := range stops {
		receiver := ""
		if s[1] != "" {
			receiver = `\(\w+ \*` + s[1] + `\) `
		}
		if !regexp.MustCompile(`(?m)^func ` + receiver + s[2] + `\(`).MatchString(files[s[3]]) {
			t.Errorf("%s draws %s.%s in %s, where it is not", architectureFile, s[1], s[2], s[3])
		}
	}
}

// Each benchmark and test by which docs/performance.md repeats a measurement exists in the package that it names.
func TestMeasurementsCanBeRepeated(t *testing.T) {
	command := regexp.MustCompile("go test [^`]*-(bench|run) ([A-Za-z5]+|'[A-Za-z|\\\\]+')[^`]* \\./([a-z/]+)`")
	commands, files := command.FindAllStringSubmatch(read(t, "docs/performance.md"), -1), goFiles(t)
	for _, command := range commands {
		kind := map[string]string{"bench": "Benchmark", "run": "Test"}[command[1]]
		measured := strings.NewReplacer(`\|`, "|", "'", "").Replace(command[2])
		wanted, found := regexp.MustCompile(`(?m)^func `+kind+`\w*(?:`+measured+`)`), false
		for name, text := range files {
			found = found || path.Dir(name) == command[3] && wanted.MatchString(text)
		}
		if !found {
			t.Errorf("docs/performance.md: nothing is measured by %s", command[0])
		}
	}
	if len(commands) < 10 {
		t.Errorf("only %d commands were found", len(commands))
	}
}
