package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/engine"
)

// A deployment answers for CloudFormation and Lambda about one stack.
type deployment struct {
	variables       map[string]string // of the function
	output          string            // the key of the output that names the function
	denyStack, deny bool
	asked           []string // host's region and path, or action
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The credential's scope: .../DATE/REGION/SERVICE/aws4_request
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	region, service := scope[2], scope[3]
	switch {
	case service == "cloudformation":
		_ = r.ParseForm()
		d.asked = append(d.asked, region+" "+r.Form.Get("Action")+" "+r.Form.Get("StackName"))
		switch {
		case d.denyStack:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		case !strings.Contains(r.Form.Get("StackName"), "edge"):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id %s does not exist</Message></Error></ErrorResponse>`, r.Form.Get("StackName"))
		default:
			fmt.Fprintf(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>edge</StackName><Outputs>
				<member><OutputKey>RoleArn</OutputKey><OutputValue>x</OutputValue></member>
				<member><OutputKey>%s</OutputKey><OutputValue>edge-sync</OutputValue></member>
			</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`, d.output)
		}
	case service == "lambda":
		d.asked = append(d.asked, region+" "+r.URL.Path)
		if d.deny {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"Message": "no"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"FunctionName": "edge-sync", "Environment": map[string]any{"Variables": d.variables}})
	}
}

// newDeployment is a stack in front of an operator's endpoint.
func newDeployment(t *testing.T, variables map[string]string) *deployment {
	t.Helper()
	d := &deployment{variables: variables, output: "FunctionName"}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", server.URL)
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
	return d
}

// --stack has a command work with the settings of the deployed function: with none of this process's own, and with a
// flag where there is one, which is said.
func TestStackSettings(t *testing.T) {
	const groups = `{"groups": [
	  {"name": "a", "tags": {"edge": "8443"}}, {"name": "b", "tags": {"cloudfront-ingress": "443"}},
	  {"region": "eu-west-1", "name": "c", "tags": {"edge": "443"}}
	]}`
	d := newDeployment(t, map[string]string{"TAG_KEY": "edge", "SERVICES": "CLOUDFRONT", "REGIONS": "us-east-1,eu-west-1", "RULES_PER_GROUP": "7", "METRICS_NAMESPACE": "none"})
	o := newOperator(t, groups)
	t.Setenv("AWS_REGION", "us-west-2") // where the stack is
	t.Setenv("RULES_PER_GROUP", "nonsense")
	t.Setenv("AWS_ENDPOINT_URL", o.flags[1])
	o.flags = o.flags[4:6] // the ranges
	code, stdout, stderr := o.cfsg(t.Context(), "plan", "--stack", "edge")
	for _, want := range []string{"us-east-1  quota: 7 rules", "eu-west-1  quota: 7 rules", " a", " c"} {
		if code != exitOK || !strings.Contains(stdout, want) || strings.Contains(stdout, " b ") || stderr != "" {
			t.Fatalf("exit code %d, stderr %q, want %q in:\n%s", code, stderr, want, stdout)
		}
	}
	if want := "us-west-2 DescribeStacks edge, us-west-2 /2015-03-31/functions/edge-sync/configuration"; strings.Join(d.asked, ", ") != want {
		t.Errorf("asked %q, want %q", d.asked, want)
	}
	code, stdout, stderr = o.cfsg(t.Context(), "plan", "--stack", "edge", "--rules-per-group", "9", "--region", "eu-west-1", "--service", "CLOUDFRONT")
	want := "cfsg: --region eu-west-1 is used, not the stack's REGIONS=us-east-1,eu-west-1\n" +
		"cfsg: --rules-per-group 9 is used, not the stack's RULES_PER_GROUP=7\n"
	if code != exitOK || stderr != want || strings.Contains(stdout, "us-east-1") || !strings.Contains(stdout, "eu-west-1  quota: 9 rules") {
		t.Errorf("exit code %d, stderr %q, want %q; stdout %s", code, stderr, want, stdout)
	}
	// The region of its ARN is the stack's, whatever others there are.
	d.asked = nil
	id := "arn:aws:cloudformation:eu-central-1:111122223333:stack/edge/0a1b"
	if code, _, stderr := o.cfsg(t.Context(), "status", "--stack", id); code != exitOK || d.asked[0] != "eu-central-1 DescribeStacks "+id {
		t.Errorf("exit code %d, %s; asked %q", code, stderr, d.asked)
	}
	// Every command that has the flags has this one, also those without AWS.
	for _, args := range [][]string{{"ranges"}, {"export", "csv"}, {"check", "--group", "sg-0000000808d12e6ab"}} {
		d.asked = nil
		if code, _, stderr := o.cfsg(t.Context(), append(args, "--stack", "edge")...); len(d.asked) != 2 {
			t.Errorf("%v: exit code %d, %s, asked %q", args, code, stderr, d.asked)
		}
	}
}

// --role-arn names every role there is to assume: neither the roles nor the accounts of the stack or the environment
// come on top, and who named a stack is told.
func TestRoleFlagReplacesMembers(t *testing.T) {
	members := map[string]string{"MEMBER_ACCOUNTS": "222233334444,333344445555", "ROLE_ARNS": "arn:aws:iam::444455556666:role/a"}
	newDeployment(t, members)
	for name, value := range members {
		t.Setenv(name, value)
	}
	t.Setenv("AWS_REGION", "us-west-2")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	const role = "arn:aws:iam::555566667777:role/look"
	told := "cfsg: --role-arn is used, not the stack's MEMBER_ACCOUNTS=222233334444,333344445555\n" +
		"cfsg: --role-arn " + role + " is used, not the stack's ROLE_ARNS=arn:aws:iam::444455556666:role/a\n"
	for stack, want := range map[string]string{"": "", "edge": told} {
		var stderr strings.Builder
		f := placeFlags{RoleARN: []string{role}}
		f.Stack = stack
		c, err := f.readConfig(t.Context(), terminal{err: &stderr}, f.given())
		if err != nil {
			t.Fatal(err)
		}
		if roles := engine.Roles(c, "us-west-2"); !slices.Equal(roles, []string{role}) {
			t.Errorf("with --stack %q the roles are %q", stack, roles)
		}
		if stderr.String() != want {
			t.Errorf("with --stack %q stderr is %q, want %q", stack, &stderr, want)
		}
		f.RoleARN = nil
		if c, err = f.readConfig(t.Context(), terminal{err: &stderr}, f.given()); err != nil || len(engine.Roles(c, "us-west-2")) != 3 {
			t.Errorf("with --stack %q and no flag the roles are %q, %v", stack, engine.Roles(c, "us-west-2"), err)
		}
	}
}

// Commands that look in one account count the member accounts of a stack as well.
func TestOnePlaceCountsMembers(t *testing.T) {
	newDeployment(t, map[string]string{"MEMBER_ACCOUNTS": "222233334444,333344445555"})
	o := newOperator(t, `{"groups": []}`)
	t.Setenv("AWS_REGION", "us-west-2")
	t.Setenv("AWS_ENDPOINT_URL", o.flags[1])
	o.flags = o.flags[4:6] // the ranges
	want := "a check looks in one account, not in 2\nhint: name its role with --role-arn"
	if code, _, stderr := o.cfsg(t.Context(), "check", "--group", "sg-0000000808d12e6ab", "--stack", "edge"); code != exitError || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
	}
}

// Each thing that can be wrong with a stack is named, with the way out.
func TestStackFails(t *testing.T) {
	right := map[string]string{"TAG_KEY": "edge"}
	for _, c := range []struct {
		name, stack string
		d           deployment
		want        string
	}{
		{"another name", "other", deployment{}, "read the settings of --stack other: there is none in us-east-1\nhint: check the name, and name its region with AWS_REGION or the stack by its ARN"},
		{"no permission for the stack", "edge", deployment{denyStack: true}, "grant the permission cloudformation:DescribeStacks"},
		{"no permission for the function", "edge", deployment{deny: true, output: "FunctionName"}, "grant the permission lambda:GetFunctionConfiguration"},
		{"another stack", "edge", deployment{output: "BucketName"}, "the stack has no output FunctionName: it is not a stack of cloudfront-sg-sync, or its deployment is not complete"},
		{"another function", "edge", deployment{output: "FunctionName", variables: map[string]string{}}, "function edge-sync has no environment variables: it is not the function of cloudfront-sg-sync"},
		{"settings that cannot be read", "edge", deployment{output: "FunctionName", variables: map[string]string{"TAG_KEY": "a b"}}, `configuration: TAG_KEY of stack edge="a b": `},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDeployment(t, right)
			*d = c.d
			o := newOperator(t, fourGroups)
			t.Setenv("AWS_ENDPOINT_URL", o.flags[1])
			o.flags = o.flags[2:]
			code, stdout, stderr := o.cfsg(t.Context(), "plan", "--stack", c.stack)
			if code != exitError || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, stderr %q, want %q", code, stderr, c.want)
			}
		})
	}
}
