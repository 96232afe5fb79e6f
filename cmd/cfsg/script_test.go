package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudfront-sg-sync/internal/ec2sim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cfsg": main, "origin": origin, "aws": awsCLI})
}

// awsCLI stands in for the AWS CLI's "aws --endpoint-url URL --region NAME ec2 describe-security-groups": without
// credentials or a region it fails, as that does.
func awsCLI() {
	flags := flag.NewFlagSet("aws", flag.ExitOnError)
	endpoint, region := flags.String("endpoint-url", "", ""), flags.String("region", os.Getenv("AWS_DEFAULT_REGION"), "")
	_ = flags.Parse(os.Args[1:])
	if strings.Join(flags.Args(), " ") != "ec2 describe-security-groups" {
		log.Fatalf("aws: unknown command %q", flags.Args())
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(*region), config.WithBaseEndpoint(*endpoint))
	if err != nil {
		log.Fatal(err)
	}
	out, err := ec2.NewFromConfig(cfg).DescribeSecurityGroups(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, g := range out.SecurityGroups {
		fmt.Println(aws.ToString(g.GroupName))
	}
}

// schemas is where the documents that cfsg prints are described.
var schemas, _ = filepath.Abs("../../docs/schema")

// internet is a script that runs commands on a network of its own.
var internet, _ = filepath.Abs("testdata/internet.sh")

// TestScripts runs the scripts in testdata, which are what users type and what they get to see. $ADDR is a free
// address. With UPDATE_SCRIPTS=1 what is printed becomes what is wanted.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Condition:     condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"ready":  ready,
			"call":   call,
			"term":   terminate,
			"schema": schema,

			"endpoint": endpoint,
			"deny":     deny,
			"says":     says,
			"changes":  changes,
			"stack":    stack,
			"asked":    asked,
		},
		Setup: func(env *testscript.Env) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Values[world{}] = new(world)
			env.Setenv("ADDR", listener.Addr().String())
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("INTERNET", internet)
			if !testing.Short() {
				env.Setenv("AWS_CLI", realCLI())
			}
			env.Setenv("AWS_ENDPOINT_URL", "http://"+listener.Addr().String())
			return listener.Close()
		},
	})
}

// condition knows "namespaces", whether a script can have a network of its own, and "aws", whether there is the AWS CLI.
func condition(name string) (bool, error) {
	switch name {
	case "namespaces":
		return hasNamespaces(), nil
	case "aws":
		return realCLI() != "", nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// realCLI returns the path of the AWS CLI: the scripts have another "aws" first.
var realCLI = sync.OnceValue(func() string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "aws")
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "aws-cli/") {
			return path
		}
	}
	return ""
})

func hasNamespaces() bool {
	_, err := exec.LookPath("ip")
	return err == nil && exec.Command("unshare", "--net", "--mount", "true").Run() == nil
}

// exits is the command "exits CODE PROGRAM ARG...": it runs a program, which must end with the exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// ready is the command "ready ADDR": it waits for a server.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	for range 500 {
		connection, err := net.Dial("tcp", args[0])
		if err == nil {
			ts.Check(connection.Close())
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("nothing listens on %s", args[0])
}

// terminate is the command "term": it sends SIGTERM to all programs in the background, which kill cannot.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, program := range ts.BackgroundCmds() {
		ts.Check(program.Process.Signal(syscall.SIGTERM))
	}
}

// call is the command "call ADDR [TIMES]": it describes the security groups with the SDK, without any retry, and prints
// their ids, names and tags.
func call(ts *testscript.TestScript, neg bool, args []string) {
	url := "http://" + args[0]
	client := ec2.NewFromConfig(aws.Config{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("any", "any", ""),
		BaseEndpoint: &url,
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	})
	times := 1
	if len(args) > 1 {
		var err error
		times, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	for range times {
		out, err := client.DescribeSecurityGroups(context.Background(), nil)
		if err != nil {
			fmt.Fprintln(ts.Stdout(), err)
			if !neg {
				ts.Fatalf("%v", err)
			}
			return
		}
		for _, g := range out.SecurityGroups {
			fmt.Fprint(ts.Stdout(), aws.ToString(g.GroupId), " ", aws.ToString(g.GroupName))
			for _, tag := range g.Tags {
				fmt.Fprintf(ts.Stdout(), " %s=%s", aws.ToString(tag.Key), aws.ToString(tag.Value))
			}
			fmt.Fprintln(ts.Stdout())
		}
	}
	if neg {
		ts.Fatalf("all calls were answered")
	}
}

// A world is what the programs of a script meet: the endpoint of the last "endpoint", and the stack of the last "stack".
type world struct {
	*ec2sim.Server
	stack *deployment
}

// endpoint is the command "endpoint SEED RANGES": from now on the script's programs find an endpoint of their own, and
// the file RANGES in the place of AWS's. SEED is JSON, or a file of it.
func endpoint(ts *testscript.TestScript, _ bool, args []string) {
	seed := args[0]
	if !strings.HasPrefix(seed, "{") {
		seed = ts.ReadFile(seed)
	}
	sim := ec2sim.New(ec2sim.Options{})
	ts.Check(sim.Seed(strings.NewReader(seed)))
	ranges := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ip-ranges.json" {
			http.ServeFile(w, r, ranges)
			return
		}
		sim.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Value(world{}).(*world).Server = sim
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_REGION", "us-east-1")
	ts.Setenv("IP_RANGES_URL", server.URL+"/ip-ranges.json")
}

// deny is the command "deny ACTION...": the endpoint refuses these from now on.
func deny(ts *testscript.TestScript, _ bool, args []string) { ts.Value(world{}).(*world).Deny(args...) }

// says is the command "says CODE TEXT ARG...": it runs cfsg, which must end with the exit code and say the text,
// wherever its lines break.
func says(ts *testscript.TestScript, _ bool, args []string) {
	exits(ts, false, append([]string{args[0], "cfsg"}, args[2:]...))
	said := strings.Join(strings.Fields(ts.ReadFile("stdout")+ts.ReadFile("stderr")), " ")
	if !strings.Contains(said, args[1]) {
		ts.Fatalf("it does not say %q", args[1])
	}
}

// changes is the command "changes ACTION...": these calls, and no others, have changed something since the last time.
func changes(ts *testscript.TestScript, _ bool, args []string) {
	var calls []string
	for _, c := range ts.Value(world{}).(*world).ResetCalls() {
		if c.Mutating {
			calls = append(calls, c.Action)
		}
	}
	if !slices.Equal(calls, args) {
		ts.Fatalf("it calls %v", calls)
	}
}

// schema is the command "schema NAME": what the last program printed must be a document as docs/schema/NAME.schema.json
// describes it.
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if err := conforms(ts.ReadFile("stdout"), args[0]); (err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// conforms reports how a document differs from what a schema describes.
func conforms(document, name string) error {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiled, err := compiler.Compile(filepath.Join(schemas, name+".schema.json"))
	if err != nil {
		return err
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		return err
	}
	return compiled.Validate(parsed)
}
