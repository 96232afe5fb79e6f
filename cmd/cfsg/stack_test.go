package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// A deployment answers for CloudFormation and Lambda about one stack.
type deployment struct {
	variables map[string]string // of the function
	output    string            // the key of the output that names the function
	deny      string            // stack, or function

	mu    sync.Mutex
	asked []string // host's region and path, or action
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The credential's scope: .../DATE/REGION/SERVICE/aws4_request
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	region, service := scope[2], scope[3]
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case service == "cloudformation":
		_ = r.ParseForm()
		d.asked = append(d.asked, region+" "+r.Form.Get("Action")+" "+r.Form.Get("StackName"))
		switch {
		case d.deny == "stack":
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
		if d.deny == "function" {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"Message": "no"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"FunctionName": "edge-sync", "Environment": map[string]any{"Variables": d.variables}})
	}
}

// stack is the command "stack [-output NAME] [-deny stack|function] VARIABLE=VALUE...": from now on there is a stack
// edge, whose function has these variables.
func stack(ts *testscript.TestScript, _ bool, args []string) {
	d := &deployment{variables: map[string]string{}}
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	flags.StringVar(&d.output, "output", "FunctionName", "")
	flags.StringVar(&d.deny, "deny", "", "")
	ts.Check(flags.Parse(args))
	for _, variable := range flags.Args() {
		name, value, _ := strings.Cut(variable, "=")
		d.variables[name] = value
		d.variables["IP_RANGES_URL"] = ts.Getenv("IP_RANGES_URL")
	}
	server := httptest.NewServer(d)
	ts.Defer(server.Close)
	ts.Value(world{}).(*world).stack = d
	ts.Setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", server.URL)
	ts.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
}

// asked is the command "asked REQUEST...": CloudFormation and Lambda were asked this since the last time.
func asked(ts *testscript.TestScript, _ bool, args []string) {
	d := ts.Value(world{}).(*world).stack
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.asked, args) {
		ts.Fatalf("asked %q", d.asked)
	}
	d.asked = nil
}
