package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The template of a release needs neither a build nor SAM, as a service-managed StackSet asks for, and the notes name
// the files that there are. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackSet.html
func TestFiles(t *testing.T) {
	t.Chdir("../..")
	folder := t.TempDir()
	if err := run([]string{"files", "v1.2.3", folder}); err != nil {
		t.Fatal(err)
	}
	checkNotes(t, filepath.Join(folder, "files"))
	if _, err := findTranslator(); err != nil {
		t.Skipf("the template is not looked at: %v", err)
	}
	template := filepath.Join(folder, "files", "cloudfront-sg-sync_v1.2.3.template.json")
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	checkPlain(t, text)
	out, err := exec.Command("cfn-lint", "--non-zero-exit-code", "error", "--", template).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("cfn-lint is not installed: pip install cfn-lint")
	} else if err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// The manual page shows each command's help word for word.
func TestManual(t *testing.T) {
	t.Chdir("../..")
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("man is not installed")
	}
	folder := t.TempDir()
	if err := (release{version: "v1.2.3", folder: folder}).writeManual(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(man, "--warnings", "-l", filepath.Join(folder, "cfsg.1"))
	cmd.Env = append(os.Environ(), "MANWIDTH=120", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=", "GROFF_NO_SGR=1")
	shown, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	page := words(regexp.MustCompile(`.\x08`).ReplaceAllString(string(shown), ""))
	if strings.Contains(page, "warning:") {
		t.Errorf("man warns: %s", page[:400])
	}
	helps, err := filepath.Glob("cmd/cfsg/help/*.txt")
	if err != nil || len(helps) < 10 {
		t.Fatalf("%d help texts, %v", len(helps), err)
	}
	for _, file := range helps {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page, words(string(text))) {
			t.Errorf("the manual page does not show %s", file)
		}
	}
}

// checkPlain finds what SAM has left in the template, and code that an update of a stack would not get: the zip goes by
// release and architecture.
func checkPlain(t *testing.T, text []byte) {
	t.Helper()
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
	if len(text) > 51200 {
		t.Errorf("the plain template has %d bytes, more than --template-body takes", len(text))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		t.Fatal(err)
	}
	plain := compact.String()
	for _, want := range []string{
		`"Code":{"S3Bucket":{"Ref":"CodeBucket"},` +
			`"S3Key":{"Fn::Sub":"${CodePrefix}cloudfront-sg-sync_v1.2.3_lambda_${Architecture}.zip"}}`,
		`"Architectures":[{"Ref":"Architecture"}]`, `"Default":"arm64"`,
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("the plain template does not have %s", want)
		}
	}
	if strings.Contains(plain, "AWS::Serverless") {
		t.Error("the plain template has resources of SAM, or is transformed by it")
	}
}

// The page of a release says what is new.
func TestChanges(t *testing.T) {
	const changelog = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [1.2.3] - 2026-11-30\n\n- this\n\n" +
		"## [1.2.2]\n\n- last\n"
	for version, want := range map[string]string{"v1.2.3": "- this", "v1.2.2": "- last", "v2.0.0": "- next"} {
		if got, ok := (release{version: version}).changes(changelog); strings.TrimSpace(got) != want || !ok {
			t.Errorf("what is new in %s is %q", version, got)
		}
	}
	if got, ok := (release{version: "v1.0.0"}).changes("# Changelog\n"); ok {
		t.Errorf("an empty changelog has %q", got)
	}
}

// packed returns what .goreleaser.yaml packs, by the extensions of archives and packages.
func packed(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(".goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Builds []struct {
			ID      string
			Targets []string
		}
		Nfpms []struct{ Formats []string }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, build := range config.Builds {
		for _, target := range build.Targets {
			target = strings.NewReplacer("darwin", "macos", "amd64", "x86_64").Replace(target)
			switch {
			case build.ID == "function":
				files = append(files, "cloudfront-sg-sync_VERSION_"+strings.Replace(target, "linux", "lambda", 1)+".zip")
			case strings.HasPrefix(target, "windows"):
				files = append(files, "cfsg_VERSION_"+target+".zip")
			default:
				files = append(files, "cfsg_VERSION_"+target+".tar.gz")
			}
			if build.ID == "cfsg" {
				for _, format := range config.Nfpms[0].Formats {
					files = append(files, "cfsg_VERSION_"+target+"."+format)
				}
			}
		}
	}
	return files
}

// checkNotes compares the files that the page of a release names with those that there are.
func checkNotes(t *testing.T, folder string) {
	t.Helper()
	archives := packed(t)
	for _, file := range archives {
		if !strings.Contains(whichFile, file) {
			t.Errorf("the notes do not name %s", file)
		}
	}
	for _, file := range regexp.MustCompile(`(cfsg_|cloudfront-sg-sync_)[\w.-]+\w`).FindAllString(whichFile, -1) {
		_, err := os.Stat(filepath.Join(folder, strings.ReplaceAll(file, "VERSION", "v1.2.3")))
		translated := strings.HasSuffix(file, ".template.json") // SAM's translator, which makes it, need not be here
		if err != nil && !translated && !slices.Contains(archives, file) {
			t.Errorf("the notes name %s, which is none of the release", file)
		}
	}
}

// A bill of materials names the licences of each component, those of its parts too, and does not depend on the machine
// that cyclonedx-gomod was built for.
func TestTidied(t *testing.T) {
	const page = "| module | version | licence |\n|---|---|---|\n| example.com/x/sync/errgroup | v1 | BSD-3-Clause |\n" +
		"| example.com/x | v2 | Apache-2.0 |\n| example.com/x/part | v2 | MIT |\n| example.com/xy | v2 | ISC |\n"
	const bill = `{"metadata": {"tools": [{"name": "cyclonedx-gomod", "hashes": [{"alg": "MD5"}]}]},
		"components": [{"name": "std"}, {"name": "example.com/x"},
			{"name": "example.com/x/sync", "purl": "pkg:a?goarch=amd64&goos=linux&type=module"}]}`
	const want = `{"components":[{"licenses":[{"license":{"id":"BSD-3-Clause"}}],"name":"std"},` +
		`{"licenses":[{"license":{"id":"Apache-2.0"}},{"license":{"id":"MIT"}}],"name":"example.com/x"},` +
		`{"licenses":[{"license":{"id":"BSD-3-Clause"}}],"name":"example.com/x/sync","purl":"pkg:a?type=module"}],` +
		`"metadata":{"tools":[{"name":"cyclonedx-gomod"}]}}`
	first, err := tidied([]byte(bill), page)
	var got bytes.Buffer
	if err != nil || json.Compact(&got, first) != nil || got.String() != want {
		t.Errorf("the bill is %s, %v", first, err)
	}
	if again, err := tidied(first, page); err != nil || !bytes.Equal(again, first) {
		t.Errorf("tidied twice, the bill is %s, %v", again, err)
	}
	if _, err := tidied([]byte(`{"components": [{"name": "example.com/new"}]}`), page); err == nil ||
		!strings.Contains(err.Error(), "make dependencies") {
		t.Errorf("a component without a known licence: %v", err)
	}
}

func TestVersionOfRelease(t *testing.T) {
	for version, ok := range map[string]bool{
		"v1.0.0": true, "v0.12.3-rc.1": true, "": false, "1.0.0": false, "v1.0": false, "v01.0.0": false,
		"v1.0.0/../x": false, "v1.0.0\n": false,
	} {
		if semantic.MatchString(version) != ok {
			t.Errorf("%q is a version: %t", version, !ok)
		}
	}
}
