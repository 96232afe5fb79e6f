package export

import (
	"os"
	"os/exec"
	"path/filepath"
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
