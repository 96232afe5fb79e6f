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

	// Packed twice, in folders that have other names, it is the same.
	if _, again := pack(t); !maps.EqualFunc(files, again, bytes.Equal) {
		t.Error("packed twice, the files differ")
	}
	for _, name := range []string{
		"cloudfront-sg-sync_v1.2.3_lambda_arm64.zip", "cloudfront-sg-sync_v1.2.3_lambda_amd64.zip", "cloudfront-sg-sync_v1.2.3.sam.yaml",
		"cfsg_v1.2.3_linux_amd64.tar.gz", "cfsg_v1.2.3_windows_arm64.zip", "cfsg_v1.2.3.cdx.json", "member-role.yaml", "LICENSE", "README.md",
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

// The templates say where the code is, and need no building; the plain one needs
// no SAM either, as a service-managed StackSet asks for. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackSet.html
func TestReleasedTemplates(t *testing.T) {
	t.Chdir("../..")
	dist, files := pack(t)
	lint := []string{filepath.Join(dist, "cloudfront-sg-sync_v1.2.3.sam.yaml")}
	for _, want := range []string{"SemanticVersion: 1.2.3\n", "CodeUri: ./cloudfront-sg-sync_v1.2.3_lambda_arm64.zip\n", "LicenseUrl: LICENSE\n"} {
		if !strings.Contains(string(files["cloudfront-sg-sync_v1.2.3.sam.yaml"]), want) {
			t.Errorf("the SAM template lacks %q", want)
		}
	}
	if _, err := findTranslator(); err != nil {
		t.Logf("the plain template is not looked at: %v", err)
	} else {
		lint = append(lint, filepath.Join(dist, "cloudfront-sg-sync_v1.2.3.template.json"))
		checkPlain(t, files["cloudfront-sg-sync_v1.2.3.template.json"])
	}
	linter, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: pip install cfn-lint")
	}
	// The metadata of the Serverless Application Repository are no concern of CloudFormation's.
	if out, err := exec.Command(linter, append([]string{"--non-zero-exit-code", "error", "--"}, lint...)...).CombinedOutput(); err != nil {
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
			Properties struct{ Code map[string]any }
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
	if key := plain.Parameters["CodeKey"].Default; key != "cloudfront-sg-sync_v1.2.3_lambda_arm64.zip" {
		t.Errorf("the code is at %q", key)
	}
	want := map[string]any{"S3Bucket": map[string]any{"Ref": "CodeBucket"}, "S3Key": map[string]any{"Ref": "CodeKey"}}
	if got := plain.Resources["SyncFunction"].Properties.Code; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the function's code is %v", got)
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
