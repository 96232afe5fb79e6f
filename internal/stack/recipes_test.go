package stack

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
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

// The Kubernetes recipes can be read, and each names a list of both families where the controller looks for them. The
// CloudFormation recipe is a template that its linter finds nothing in.
func TestYAMLRecipes(t *testing.T) {
	recipes, found := readPage(t, "docs/prefix-lists.md").blocks["yaml"], map[string]int{}
	for text := range strings.SplitSeq(strings.Join(recipes, "---\n"), "---\n") {
		recipe := parseTemplate(t, text)
		kind, isKubernetes := recipe["kind"].(string)
		if !isKubernetes {
			kind = strings.Join(recipe.ofType("AWS::EC2::PrefixList"), " ")
			t.Run(kind, func(t *testing.T) {
				same(t, "cfn-lint says", "", lint(t, text, "--regions", "us-east-1"))
			})
		} else {
			lists := strings.Split(strings.Join(texts(get(map[string]any(recipe), prefixListFields[kind]...)), ","), ",")
			if len(lists) != 2 || !strings.HasPrefix(lists[0], "pl-") || !strings.HasPrefix(lists[1], "pl-") {
				t.Errorf("%s refers to %q", kind, lists)
			}
		}
		found[kind]++
	}
	same(t, "the recipes", map[string]int{
		"Ingress": 1, "Service": 1, "LoadBalancerConfiguration": 1, "CloudFrontIPv4": 1,
	}, found)
}
