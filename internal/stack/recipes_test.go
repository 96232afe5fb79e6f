package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"go.yaml.in/yaml/v3"
)

// fenced returns the blocks of a page in some language, indented or not.
func fenced(t *testing.T, page, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(read(t, page), -1) {
		var lines []string
		for line := range strings.Lines(m[2]) {
			lines = append(lines, strings.TrimPrefix(line, m[1]))
		}
		blocks = append(blocks, strings.Join(lines, ""))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no %s", page, language)
	}
	return blocks
}

// The Terraform recipes can be read and are formatted, and no apply of theirs would empty a list.
func TestTerraformRecipes(t *testing.T) {
	terraform, missing := exec.LookPath("terraform")
	for _, text := range fenced(t, "docs/prefix-lists.md", "hcl") {
		if _, diags := hclparse.NewParser().ParseHCL([]byte(text), "recipe.tf"); diags.HasErrors() {
			t.Errorf("%v in\n%s", diags, text)
		}
		if strings.Contains(text, `"aws_ec2_managed_prefix_list"`) && !strings.Contains(text, "ignore_changes = [entry]") {
			t.Errorf("an apply would empty the list:\n%s", text)
		}
		if missing == nil {
			cmd := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", "-")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("terraform fmt: %v\n%s", err, out)
			}
		}
	}
}

// prefixListFields are where the AWS Load Balancer Controller looks for prefix lists, by the kind of what has them. See
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ with
// ingress/annotations, service/annotations and gateway/loadbalancerconfig.
var prefixListFields = map[string][]string{
	"Ingress":                   {"metadata", "annotations", "alb.ingress.kubernetes.io/security-group-prefix-lists"},
	"Service":                   {"metadata", "annotations", "service.beta.kubernetes.io/aws-load-balancer-security-group-prefix-lists"},
	"LoadBalancerConfiguration": {"spec", "securityGroupPrefixes"},
}

// The Kubernetes recipes can be read, and each names a list of both families where the controller looks for them.
func TestKubernetesRecipes(t *testing.T) {
	found := 0
	for text := range strings.SplitSeq(strings.Join(fenced(t, "docs/prefix-lists.md", "yaml"), "---\n"), "---\n") {
		var document map[string]any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		kind, ok := document["kind"].(string)
		if !ok {
			continue // CloudFormation
		}
		found++
		value := any(document)
		for _, key := range prefixListFields[kind] {
			value, _ = value.(map[string]any)[key]
		}
		var lists []string
		switch v := value.(type) {
		case string:
			lists = strings.Split(v, ",")
		case []any:
			for _, id := range v {
				lists = append(lists, id.(string))
			}
		}
		if len(lists) != 2 || !strings.HasPrefix(lists[0], "pl-") || !strings.HasPrefix(lists[1], "pl-") {
			t.Errorf("%s refers to %v", kind, value)
		}
	}
	if found != len(prefixListFields) {
		t.Errorf("%d recipes, want %d", found, len(prefixListFields))
	}
}

// The CloudFormation recipe is a template that its linter finds nothing in.
func TestCloudFormationRecipe(t *testing.T) {
	linter, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: pip install cfn-lint")
	}
	linted := 0
	for _, text := range fenced(t, "docs/prefix-lists.md", "yaml") {
		if !strings.Contains(text, "AWS::EC2::PrefixList") {
			continue
		}
		linted++
		path := filepath.Join(t.TempDir(), "recipe.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), linter, "--regions", "us-east-1", "--", path).CombinedOutput(); err != nil {
			t.Errorf("cfn-lint: %v\n%s", err, out)
		}
	}
	if linted != 1 {
		t.Errorf("%d templates", linted)
	}
}
