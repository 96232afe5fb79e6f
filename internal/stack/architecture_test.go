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
	room     = regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|")
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	goFile   = regexp.MustCompile(`[\w/]+\.go\b`)
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
	page, tests, folders, files := read(t, architectureFile), map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, text := range goFiles(t) {
		folders[path.Dir(name)], files[name], files[path.Base(name)] = true, true, true
		if strings.HasSuffix(name, "_test.go") {
			for _, test := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(text, -1) {
				tests[test[1]] = true
			}
		}
	}
	for _, name := range testName.FindAllString(page, -1) {
		if !tests[name] {
			t.Errorf("%s names %s, and there is no such test", architectureFile, name)
		}
	}
	for _, name := range goFile.FindAllString(page, -1) {
		if !files[name] {
			t.Errorf("%s names %s, and there is no such file", architectureFile, name)
		}
	}
	for _, match := range room.FindAllStringSubmatch(page, -1) {
		if !folders[match[1]] {
			t.Errorf("%s names %s, and there is no such room", architectureFile, match[1])
		}
	}
	for folder := range folders {
		if !strings.Contains(page, "`"+folder+"`") {
			t.Errorf("%s does not name %s", architectureFile, folder)
		}
	}
	stops := stop.FindAllStringSubmatch(page, -1)
	if len(stops) != 9 { // eight, and the checker
		t.Errorf("%s draws %d functions", architectureFile, len(stops))
	}
	for _, s := range stops {
		code, err := os.ReadFile("../../" + s[3])
		receiver := ""
		if s[1] != "" {
			receiver = `\(\w+ \*` + s[1] + `\) `
		}
		if err != nil || !regexp.MustCompile(`(?m)^func `+receiver+s[2]+`\(`).Match(code) {
			t.Errorf("%s draws %s.%s in %s, where it is not (%v)", architectureFile, s[1], s[2], s[3], err)
		}
	}
}

// Each benchmark and test by which docs/performance.md repeats a measurement exists in the package that it names.
func TestMeasurementsCanBeRepeated(t *testing.T) {
	command := regexp.MustCompile("go test [^`]*-(bench|run) ([A-Za-z5]+|'[A-Za-z|\\\\]+')[^`]* \\./([a-z/]+)`")
	commands, files := command.FindAllStringSubmatch(read(t, "docs/performance.md"), -1), goFiles(t)
	for _, command := range commands {
		kind, named := map[string]string{"bench": "Benchmark", "run": "Test"}[command[1]],
			strings.NewReplacer(`\|`, "|", "'", "").Replace(command[2])
		wanted, found := regexp.MustCompile(`(?m)^func `+kind+`\w*(?:`+named+`)`), false
		for name, text := range files {
			found = found || path.Dir(name) == command[3] &&
				strings.HasSuffix(name, "_test.go") && wanted.MatchString(text)
		}
		if !found {
			t.Errorf("docs/performance.md: nothing is measured by %s", command[0])
		}
	}
	if len(commands) < 10 {
		t.Errorf("only %d commands were found", len(commands))
	}
}
