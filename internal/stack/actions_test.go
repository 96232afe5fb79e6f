package stack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// calledActions returns the IAM actions that the function's code needs: those of the requests of the AWS SDK that it
// names, in all packages that it is built from.
var calledActions = sync.OnceValues(func() (map[string]bool, error) {
	list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{.Dir}}{{end}}", "./lambda")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	actions := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(path, "cloudfront-sg-sync/") {
			continue
		}
		sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, source := range sources {
			if strings.HasSuffix(source, "_test.go") {
				continue
			}
			if err := addActions(actions, source); err != nil {
				return nil, err
			}
		}
	}
	return actions, nil
})

const (
	servicePackages = "github.com/aws/aws-sdk-go-v2/service/"
	assumeRole      = "github.com/aws/aws-sdk-go-v2/credentials/stscreds"
)

// addActions adds the actions of a source file: an action Op of a service is requested with the type OpInput of the
// service's package, and the package stscreds calls sts:AssumeRole.
func addActions(actions map[string]bool, source string) error {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	services := map[string]bool{}
	for _, imported := range file.Imports {
		path := strings.Trim(imported.Path.Value, `"`)
		if path == assumeRole {
			actions["sts:AssumeRole"] = true
		}
		if name, ok := strings.CutPrefix(path, servicePackages); ok {
			services[name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := selector.X.(*ast.Ident)
		if op, isInput := strings.CutSuffix(selector.Sel.Name, "Input"); ok && isInput && services[pkg.Name] {
			actions[pkg.Name+":"+op] = true
		}
		return true
	})
	return nil
}

// byLambda are the actions that Lambda takes with the function's role.
var byLambda = []string{
	"logs:CreateLogStream", "logs:PutLogEvents", // https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
	"kms:GenerateDataKey", "kms:Decrypt", // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
	"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", // https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
	"ec2:UnassignPrivateIpAddresses", "ec2:DescribeSubnets",
	"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
	"sqs:SendMessage", // https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
}

// inTheHub are the actions that are not taken in a member's account.
var inTheHub = map[string]bool{"sts:AssumeRole": true, "sns:Publish": true}

// checkActions finds actions that are called and not allowed, or allowed and not called.
func checkActions(t *testing.T, f files, report func(string, ...any)) {
	called, err := calledActions()
	if err != nil {
		t.Fatal(err)
	}
	if len(called) < 7 || !called["ec2:AuthorizeSecurityGroupIngress"] || !called["sts:AssumeRole"] {
		t.Fatalf("of the actions that the code calls, only these were found: %v", called)
	}
	called = maps.Clone(called)
	delete(called, "sts:GetCallerIdentity") // needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
	hub, member := map[string]bool{}, map[string]bool{}
	for action := range called {
		hub[action] = true
		if !inTheHub[action] {
			member[action] = true
		}
	}
	for _, action := range byLambda {
		hub[action] = true
	}
	compareActions(report, "the function's role", hub, allowedActions(t, withEverything(f.template(t, mainFile)), "SyncRole"))
	compareActions(report, "the member's role", member, allowedActions(t, memberOf(f.template(t, memberFile)), "MemberRole"))
}

func compareActions(report func(string, ...any), role string, called, allowed map[string]bool) {
	for action := range called {
		if !allowed[action] {
			report("%s does not allow %s", role, action)
		}
	}
	for action := range allowed {
		if !called[action] {
			report("%s allows %s, which nothing calls", role, action)
		}
	}
}
