package export

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newTerraform makes a folder with a file, and returns what runs a command there, or skips the test without Terraform.
func newTerraform(t *testing.T, name, text string) func(input, command string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not installed")
	}
	folder := t.TempDir()
	put(t, filepath.Join(folder, name), text, 0o600)
	return func(input, command string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Stdin = folder, strings.NewReader(input)
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
}

// Terraform reads the export and finds both lists in it, and does what is printed.
func TestTerraform(t *testing.T) {
	text := write(t, "terraform", sample())
	says := headerOf(t, text)
	run := newTerraform(t, "cloudfront.tf", text)
	for _, command := range []string{
		"terraform fmt -check -diff", "terraform init -backend=false", "terraform validate", "terraform console", says.load,
		"echo 'terraform {}' >main.tf && rm cloudfront.tf && " + says.takeOut,
	} {
		out, err := run(`join(" ", concat(local.cloudfront_ipv4, local.cloudfront_ipv6))`+"\n", command)
		want := `"18.64.0.0/14 52.84.0.0/15 2600:9000:1000::/36"`
		if err != nil || command == "terraform console" && out != want {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
}

// Terraform makes nothing where a security group does not take the rules, unless it is told that the quota was raised.
func TestListsTooHeavy(t *testing.T) {
	in := with(70, sample())
	in.Ports = in.Ports[:1]
	text := write(t, "terraform-lists", in)
	variable := regexp.MustCompile(`(?s)variable "cloudfront_rules_per_group" {.*?\n}`).FindString(text)
	condition := regexp.MustCompile(`(?s)precondition {.*?\n    }`).FindString(text)
	run := newTerraform(t, "main.tf",
		variable+"\nresource \"terraform_data\" \"list\" {\nlifecycle {\n"+condition+"\n}\n}\n")
	if out, err := run("", "terraform init"); err != nil {
		t.Fatal(out)
	}
	if out, err := run("", "terraform plan -no-color"); err == nil || !strings.Contains(out, "The rules count as 1") {
		t.Errorf("it is planned, or the error does not say why:\n%s", out)
	}
	if out, err := run("", "terraform plan -var=cloudfront_rules_per_group=300"); err != nil {
		t.Errorf("with a quota that was raised:\n%s", out)
	}
	if strings.Contains(write(t, "terraform-lists", sample()), "precondition") {
		t.Error("lists that fit are questioned")
	}
}
