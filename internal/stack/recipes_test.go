package stack

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"go.yaml.in/yaml/v3"
)

// The Terraform recipes can be read and are formatted, and no apply of theirs would empty a list.
func TestTerraformRecipes(t *testing.T) {
	terraform, missing := exec.LookPath("terraform")
	recipes := readPage(t, "docs/prefix-lists.md").blocks["hcl"]
	if len(recipes) == 0 {
		t.Error("there are none")
	}
	for _, text := range recipes {
		if _, diags := hclparse.NewParser().ParseHCL([]byte(text), "recipe.tf"); diags.HasErrors() {
			t.Errorf("%v in\n%s", diags, text)
		}
		if strings.Contains(text, `"aws_ec2_managed_prefix_list"`) &&
			!strings.Contains(text, "ignore_changes = [entry]") {
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
	"Ingress": {"metadata", "annotations", "alb.ingress.kubernetes.io/security-group-prefix-lists"},
	"Service": {
		"metadata", "annotations",
		"service.beta.kubernetes.io/aws-load-balancer-security-group-prefix-lists",
	},
	"LoadBalancerConfiguration": {"spec", "securityGroupPrefixes"},
}

// The Kubernetes recipes can be read, and each names a list of both families where the controller looks for them.
func TestKubernetesRecipes(t *testing.T) {
	found := 0
	for text := range strings.SplitSeq(strings.Join(readPage(t, "docs/prefix-lists.md").blocks["yaml"], "---\n"), "---\n") {
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
	linted := 0
	for _, text := range readPage(t, "docs/prefix-lists.md").blocks["yaml"] {
		if strings.Contains(text, "AWS::EC2::PrefixList") {
			linted++
			if out := lint(t, text, "--regions", "us-east-1"); out != "" {
				t.Errorf("cfn-lint: %s", out)
			}
		}
	}
	if linted != 1 {
		t.Errorf("%d templates", linted)
	}
}
