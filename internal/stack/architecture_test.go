package stack

import (
	"io/fs"
	"maps"
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
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	stop     = regexp.MustCompile(`"(?:\d )?(?:(\w+)\.)?(\w+) · ([\w/]+\.go)(?:<br>|")`) // of the drawing: a function and its file
)

// A tree is the Go code of the project: the tests there are, and its files by folder.
type tree struct {
	tests   map[string]bool
	folders map[string][]string
}

func readTree(t *testing.T, root fs.FS) tree {
	t.Helper()
	found := tree{tests: map[string]bool{}, folders: map[string][]string{}}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "build", "dist", "testdata", ".aws-sam"}, entry.Name()):
			return fs.SkipDir
		case path.Ext(name) != ".go":
			return nil
		}
		found.folders[path.Dir(name)] = append(found.folders[path.Dir(name)], path.Base(name))
		if strings.HasSuffix(name, "_test.go") {
			text, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			for _, test := range testFunc.FindAllStringSubmatch(string(text), -1) {
				found.tests[test[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// has reports whether there is a file of a name, or of a folder and a name.
func (t tree) has(file string) bool {
	for folder, names := range t.folders {
		if slices.Contains(names, path.Base(file)) && (path.Dir(file) == "." || folder == path.Dir(file)) {
			return true
		}
	}
	return false
}

// astray returns what the page names that the tree does not have, and the rooms that it does not name.
func (t tree) astray(page string) []string {
	var found []string
	for _, name := range testName.FindAllString(page, -1) {
		if !t.tests[name] {
			found = append(found, "no test "+name)
		}
	}
	for _, name := range goFile.FindAllString(page, -1) {
		if !t.has(name) {
			found = append(found, "no file "+name)
		}
	}
	for _, match := range room.FindAllStringSubmatch(page, -1) {
		if t.folders[match[1]] == nil {
			found = append(found, "no room "+match[1])
		}
	}
	for folder := range maps.Keys(t.folders) {
		if !strings.Contains(page, "`"+folder+"`") {
			found = append(found, "not on the page: "+folder)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// The rooms, files and tests on the page of the architecture are those of the tree.
func TestArchitecture(t *testing.T) {
	page := read(t, architectureFile)
	for _, problem := range readTree(t, os.DirFS("../..")).astray(page) {
		t.Errorf("%s: %s", architectureFile, problem)
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
	root := os.DirFS("../..")
	page, err := fs.ReadFile(root, "docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("go test [^`]*-(bench|run) ([A-Za-z5]+|'[A-Za-z|\\\\]+')[^`]* \\./([a-z/]+)`").FindAllStringSubmatch(string(page), -1)
	for _, command := range commands {
		kind := map[string]string{"bench": "Benchmark", "run": "Test"}[command[1]]
		wanted := regexp.MustCompile(`(?m)^func ` + kind + `\w*(?:` + strings.NewReplacer(`\|`, "|", "'", "").Replace(command[2]) + `)`)
		files, err := fs.Glob(root, command[3]+"/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(name string) bool {
			code, err := fs.ReadFile(root, name)
			return err == nil && wanted.Match(code)
		}) {
			t.Errorf("docs/performance.md: nothing is measured by %s", command[0])
		}
	}
	if len(commands) < 10 {
		t.Errorf("only %d commands were found", len(commands))
	}
}
