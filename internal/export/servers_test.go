package export

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Terraform reads the export and finds both lists in it, and does what is printed.
func TestTerraform(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	dir := t.TempDir()
	file, text := filepath.Join(dir, "cloudfront.tf"), write(t, "terraform", sample())
	for name, text := range map[string]string{file: text, filepath.Join(dir, "main.tf"): "terraform {}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(input, program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(input), append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run := func(input string, args ...string) string {
		t.Helper()
		return command(input, terraform, args...)
	}
	run("", "fmt", "-check", "-diff")
	run("", "init", "-backend=false")
	run("", "validate")
	got := run("join(\" \", concat(local.cloudfront_ipv4, local.cloudfront_ipv6))\n", "console")
	if want := `"18.64.0.0/14 52.84.0.0/15 2600:9000:1000::/36"`; got != want {
		t.Errorf("it finds %s, want %s", got, want)
	}
	says := headerOf(t, text)
	command("", "sh", "-c", says.load)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	command("", "sh", "-c", says.takeOut)
}

// Terraform makes nothing where a security group does not take the rules, unless it is told that the quota was raised.
func TestListsTooHeavy(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	in := with(70, sample())
	in.Ports = in.Ports[:1]
	text := write(t, "terraform-lists", in)
	variable := regexp.MustCompile(`(?s)variable "cloudfront_rules_per_group" {.*?\n}`).FindString(text)
	condition := regexp.MustCompile(`(?s)precondition {.*?\n    }`).FindString(text)
	dir := t.TempDir()
	config := variable + "\nresource \"terraform_data\" \"list\" {\nlifecycle {\n" + condition + "\n}\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), terraform, append([]string{"-chdir=" + dir}, args...)...)
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("init"); err != nil {
		t.Fatal(out)
	}
	if out, err := run("plan", "-no-color"); err == nil || !strings.Contains(out, "The rules count as 1") {
		t.Errorf("it is planned, or the error does not say why:\n%s", out)
	}
	if out, err := run("plan", "-var=cloudfront_rules_per_group=300"); err != nil {
		t.Errorf("with a quota that was raised:\n%s", out)
	}
	if strings.Contains(write(t, "terraform-lists", sample()), "precondition") {
		t.Error("lists that fit are questioned")
	}
}
