package export

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newTerraform returns what runs a program in a folder with some files, or skips the test without Terraform.
func newTerraform(t *testing.T, files map[string]string) (folder string,
	run func(input string, args ...string) (string, error),
) {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not installed")
	}
	folder = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder, func(input string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir, cmd.Stdin = folder, strings.NewReader(input)
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
}

// Terraform reads the export and finds both lists in it, and does what is printed.
func TestTerraform(t *testing.T) {
	text := write(t, "terraform", sample())
	folder, try := newTerraform(t, map[string]string{"cloudfront.tf": text, "main.tf": "terraform {}\n"})
	run := func(input string, args ...string) string {
		t.Helper()
		out, err := try(input, args...)
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
		return out
	}
	run("", "terraform", "fmt", "-check", "-diff")
	run("", "terraform", "init", "-backend=false")
	run("", "terraform", "validate")
	got := run("join(\" \", concat(local.cloudfront_ipv4, local.cloudfront_ipv6))\n", "terraform", "console")
	if want := `"18.64.0.0/14 52.84.0.0/15 2600:9000:1000::/36"`; got != want {
		t.Errorf("it finds %s, want %s", got, want)
	}
	says := headerOf(t, text)
	run("", "sh", "-c", says.load)
	if err := os.Remove(filepath.Join(folder, "cloudfront.tf")); err != nil {
		t.Fatal(err)
	}
	run("", "sh", "-c", says.takeOut)
}

// Terraform makes nothing where a security group does not take the rules, unless it is told that the quota was raised.
func TestListsTooHeavy(t *testing.T) {
	in := with(70, sample())
	in.Ports = in.Ports[:1]
	text := write(t, "terraform-lists", in)
	variable := regexp.MustCompile(`(?s)variable "cloudfront_rules_per_group" {.*?\n}`).FindString(text)
	condition := regexp.MustCompile(`(?s)precondition {.*?\n    }`).FindString(text)
	_, run := newTerraform(t, map[string]string{
		"main.tf": variable + "\nresource \"terraform_data\" \"list\" {\nlifecycle {\n" + condition + "\n}\n}\n",
	})
	if out, err := run("", "terraform", "init"); err != nil {
		t.Fatal(out)
	}
	if out, err := run("", "terraform", "plan", "-no-color"); err == nil ||
		!strings.Contains(out, "The rules count as 1") {
		t.Errorf("it is planned, or the error does not say why:\n%s", out)
	}
	if out, err := run("", "terraform", "plan", "-var=cloudfront_rules_per_group=300"); err != nil {
		t.Errorf("with a quota that was raised:\n%s", out)
	}
	if strings.Contains(write(t, "terraform-lists", sample()), "precondition") {
		t.Error("lists that fit are questioned")
	}
}
