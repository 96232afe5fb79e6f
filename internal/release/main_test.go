package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pack packs a release of programs that are none, and returns its files.
func pack(t *testing.T) (dist string, files map[string][]byte) {
	t.Helper()
	built := t.TempDir()
	dist = filepath.Join(t.TempDir(), "dist")
	for name, text := range map[string]string{
		"function-arm64/bootstrap":    "function for arm64",
		"function-amd64/bootstrap":    "function for amd64",
		"cfsg-linux-amd64/cfsg":       "command for linux",
		"cfsg-windows-arm64/cfsg.exe": "command for windows",
		"cfsg-darwin-arm64/cfsg":      "command for macOS",
		"cfsg_v1.2.3.cdx.json":        "{}",
		"cfsg":                        "#!/bin/sh\necho complete -C \"$0\" cfsg in $2\n",
	} {
		path := filepath.Join(built, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{"v1.2.3", built, dist}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dist, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dist, files
}

func TestRelease(t *testing.T) {
	t.Chdir("../..")
	dist, files := pack(t)
	t.Run("templates", func(t *testing.T) { checkTemplates(t, dist, files) })
	t.Run("notes", func(t *testing.T) { checkNotes(t, files) })

	// Packed twice, in folders that have other names, it is the same.
	if _, again := pack(t); !maps.EqualFunc(files, again, bytes.Equal) {
		t.Error("packed twice, the files differ")
	}
	for _, name := range []string{
		"cloudfront-sg-sync_v1.2.3_lambda_arm64.zip", "cloudfront-sg-sync_v1.2.3_lambda_x86_64.zip", "cloudfront-sg-sync_v1.2.3.sam.yaml",
		"cfsg_v1.2.3_linux_x86_64.tar.gz", "cfsg_v1.2.3_macos_arm64.tar.gz", "cfsg_v1.2.3_windows_arm64.zip", "cfsg_v1.2.3.cdx.json",
		"member-role.yaml", "LICENSE", "README.md",
	} {
		if files[name] == nil {
			t.Errorf("there is no %s among %q", name, slices.Sorted(maps.Keys(files)))
		}
		if sum := fmt.Sprintf("%x  %s\n", sha256.Sum256(files[name]), name); !strings.Contains(string(files["SHA256SUMS"]), sum) {
			t.Errorf("the checksums lack %s", sum)
		}
	}

	// Lambda starts the one file of the zip, which it has to be able to.
	function, err := zip.OpenReader(filepath.Join(dist, "cloudfront-sg-sync_v1.2.3_lambda_arm64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer function.Close()
	if len(function.File) != 1 || function.File[0].Name != "bootstrap" || function.File[0].Mode() != 0o755 {
		t.Errorf("the function's zip has %v", function.File)
	}

	// What a shell is to run is the cfsg it finds, not the one that was built.
	command, err := zip.OpenReader(filepath.Join(dist, "cfsg_v1.2.3_windows_arm64.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	completion, err := command.Open("completion/cfsg.bash")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(completion); err != nil || text.String() != "complete -C cfsg cfsg in bash\n" {
		t.Errorf("the completion is %q, %v", &text, err)
	}
}

// The templates say where the code is, and need no building; the plain one needs no SAM either, as a service-managed
// StackSet asks for. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackSet.html
func checkTemplates(t *testing.T, dist string, files map[string][]byte) {
	t.Helper()
	for _, want := range []string{"SemanticVersion: 1.2.3\n", "CodeUri: ./cloudfront-sg-sync_v1.2.3_lambda_arm64.zip\n", "LicenseUrl: LICENSE\n"} {
		if !strings.Contains(string(files["cloudfront-sg-sync_v1.2.3.sam.yaml"]), want) {
			t.Errorf("the SAM template lacks %q", want)
		}
	}
	if _, err := findTranslator(); err != nil {
		t.Logf("the plain template is not looked at: %v", err)
	} else {
		checkPlain(t, files["cloudfront-sg-sync_v1.2.3.template.json"])
	}
	linter, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: pip install cfn-lint")
	}
	lint := []string{"--non-zero-exit-code", "error", "--"}
	for name, text := range files {
		if bytes.Contains(text, []byte("AWSTemplateFormatVersion")) && name != "README.md" {
			lint = append(lint, filepath.Join(dist, name))
		}
	}
	if templates := len(lint) - 3; templates < 3 {
		t.Errorf("only %d templates are looked at: %q", templates, lint)
	}
	if out, err := exec.Command(linter, lint...).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

func checkPlain(t *testing.T, text []byte) {
	t.Helper()
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
	if len(text) > 51200 {
		t.Errorf("the plain template has %d bytes, more than --template-body takes", len(text))
	}
	var plain struct {
		Transform  any
		Parameters map[string]struct{ Default any }
		Resources  map[string]struct {
			Type       string
			Properties struct {
				Architectures []any
				Code          map[string]any
			}
		}
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if plain.Transform != nil {
		t.Errorf("the plain template is transformed by %v", plain.Transform)
	}
	for id, resource := range plain.Resources {
		if strings.HasPrefix(resource.Type, "AWS::Serverless::") {
			t.Errorf("%s is of type %s", id, resource.Type)
		}
	}
	// The zip goes by release and architecture, so that a stack that is updated gets the release's code.
	function := plain.Resources["SyncFunction"].Properties
	want := map[string]any{
		"S3Bucket": map[string]any{"Ref": "CodeBucket"},
		"S3Key":    map[string]any{"Fn::Sub": "${CodePrefix}cloudfront-sg-sync_v1.2.3_lambda_${Architecture}.zip"},
	}
	if got := function.Code; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the function's code is %v", got)
	}
	if got := fmt.Sprint(function.Architectures); got != "[map[Ref:Architecture]]" || plain.Parameters["Architecture"].Default != "arm64" {
		t.Errorf("the function runs on %s, by default on %v", got, plain.Parameters["Architecture"].Default)
	}
}

// The page of a release says what is new.
func TestChanges(t *testing.T) {
	const changelog = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [1.2.3] - 2026-11-30\n\n- this\n\n## [1.2.2]\n\n- last\n"
	for version, want := range map[string]string{"v1.2.3": "- this", "v1.2.2": "- last", "v2.0.0": "- next"} {
		if got, ok := (release{version: version}).changes(changelog); strings.TrimSpace(got) != want || !ok {
			t.Errorf("what is new in %s is %q", version, got)
		}
	}
	if got, ok := (release{version: "v1.0.0"}).changes("# Changelog\n"); ok {
		t.Errorf("an empty changelog has %q", got)
	}
}

// checkNotes finds files of cfsg that the page of a release does not name, and files that it names and there are none
// of.
func checkNotes(t *testing.T, files map[string][]byte) {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, platforms, _ := strings.Cut(string(makefile), "\nPLATFORMS = ")
	platforms, _, _ = strings.Cut(platforms, "\n")
	for platform := range strings.FieldsSeq(platforms) {
		system, arch, _ := strings.Cut(platform, "-")
		if file := "cfsg_VERSION_" + usualName(system) + "_" + usualName(arch) + "."; strings.Count(whichFile, file) != 1 {
			t.Errorf("the notes do not name %s", file)
		}
	}
	if named := strings.Count(whichFile, "cfsg_VERSION_"); named != len(strings.Fields(platforms)) {
		t.Errorf("the notes name %d files of cfsg, the Makefile has %q", named, platforms)
	}
	for _, file := range regexp.MustCompile(`(cloudfront-sg-sync_\S+|member-role\S+)\b`).FindAllString(whichFile, -1) {
		file = strings.ReplaceAll(file, "VERSION", "v1.2.3")
		// The one is of cyclonedx-gomod, the other of SAM's translator, which need not be here.
		if files[file] == nil && !strings.HasSuffix(file, ".cdx.json") && !strings.HasSuffix(file, ".template.json") {
			t.Errorf("the notes name %s, which is none of the release", file)
		}
	}
}

// A bill of materials names a licence for each component, and does not depend on the machine that cyclonedx-gomod was
// built for.
func TestTidyBill(t *testing.T) {
	t.Chdir("../..")
	licenses, err := readLicenses("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	const bill = `{"metadata": {"tools": [{"name": "cyclonedx-gomod", "hashes": [{"alg": "MD5"}]}]},
		"components": [{"name": "std"}, {"name": "golang.org/x/sync", "purl": "pkg:a?b&c"}]}`
	const want = `{"components":[{"licenses":[{"license":{"id":"BSD-3-Clause"}}],"name":"std"},` +
		`{"licenses":[{"license":{"id":"BSD-3-Clause"}}],"name":"golang.org/x/sync","purl":"pkg:a?b&c"}],"metadata":{"tools":[{"name":"cyclonedx-gomod"}]}}`
	tidied, err := tidyBill([]byte(bill), licenses)
	var got bytes.Buffer
	if err != nil || json.Compact(&got, tidied) != nil || got.String() != want {
		t.Errorf("the bill is %s, %v", tidied, err)
	}
	again, err := tidyBill(tidied, licenses)
	if err != nil || !bytes.Equal(again, tidied) {
		t.Errorf("tidied twice, the bill is %s, %v", again, err)
	}
	if _, err := tidyBill([]byte(`{"components": [{"name": "example.com/new"}]}`), licenses); err == nil || !strings.Contains(err.Error(), "make dependencies") {
		t.Errorf("a component without a known licence: %v", err)
	}
}

func TestVersionOfRelease(t *testing.T) {
	for version, ok := range map[string]bool{
		"v1.0.0": true, "v0.12.3-rc.1": true, "": false, "1.0.0": false, "v1.0": false, "v01.0.0": false, "v1.0.0/../x": false, "v1.0.0\n": false,
	} {
		if semantic.MatchString(version) != ok {
			t.Errorf("%q is a version: %t", version, !ok)
		}
	}
}
