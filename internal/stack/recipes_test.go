package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"go.yaml.in/yaml/v3"
)

// fenced returns the blocks of a page in some language, indented or not.
func fenced(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1) {
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

// arguments are what the resources of the recipes take: those they need first. See
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/ with
// ec2_managed_prefix_list, vpc_security_group_ingress_rule, security_group and vpc_security_group_rules_exclusive.
var arguments = map[string]struct{ needed, more, blocks []string }{
	"aws_ec2_managed_prefix_list":            {[]string{"name", "address_family", "max_entries"}, []string{"tags"}, []string{"lifecycle"}},
	"aws_vpc_security_group_ingress_rule":    {[]string{"security_group_id", "ip_protocol", "from_port", "to_port", "prefix_list_id"}, []string{"description"}, nil},
	"aws_security_group":                     {[]string{"name", "vpc_id"}, []string{"description"}, []string{"ingress", "egress"}},
	"aws_vpc_security_group_rules_exclusive": {[]string{"security_group_id", "ingress_rule_ids", "egress_rule_ids"}, nil, nil},
}

// The Terraform recipes can be read, and their resources have what they need and nothing that does not exist.
func TestTerraformRecipes(t *testing.T) {
	found := map[string]bool{}
	for _, text := range fenced(t, "docs/prefix-lists.md", "hcl") {
		file, diags := hclparse.NewParser().ParseHCL([]byte(text), "recipe.tf")
		if diags.HasErrors() {
			t.Fatalf("%v in\n%s", diags, text)
		}
		for _, b := range file.Body.(*hclsyntax.Body).Blocks {
			known, ok := arguments[b.Labels[0]]
			if b.Type != "resource" || !ok {
				t.Errorf("%s %v: this test does not know its arguments", b.Type, b.Labels)
				continue
			}
			found[b.Labels[0]] = true
			for _, name := range known.needed {
				if b.Body.Attributes[name] == nil {
					t.Errorf("%s has no %s", b.Labels[0], name)
				}
			}
			for name := range b.Body.Attributes {
				if name != "for_each" && !slices.Contains(slices.Concat(known.needed, known.more), name) {
					t.Errorf("%s takes no %s", b.Labels[0], name)
				}
			}
			for _, inner := range b.Body.Blocks {
				if !slices.Contains(known.blocks, inner.Type) {
					t.Errorf("%s takes no block %s", b.Labels[0], inner.Type)
				}
			}
			if b.Labels[0] == "aws_ec2_managed_prefix_list" && !strings.Contains(text, "ignore_changes = [entry]") {
				t.Error("an apply would empty the list")
			}
		}
	}
	if len(found) != len(arguments) {
		t.Errorf("recipes for %v only", found)
	}
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Log("terraform is not installed, so fmt is left out")
		return
	}
	for _, text := range fenced(t, "docs/prefix-lists.md", "hcl") {
		cmd := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("terraform fmt: %v\n%s", err, out)
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
	for _, text := range strings.Split(strings.Join(fenced(t, "docs/prefix-lists.md", "yaml"), "---\n"), "---\n") {
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
