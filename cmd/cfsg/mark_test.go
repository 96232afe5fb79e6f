package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The next command has every flag of this run that it knows, and none that say how the run was done.
func TestNext(t *testing.T) {
	cases := []struct{ typed, command, more, want string }{
		{
			"status --region eu-west-1 --region us-east-1 --ip-ranges x.json --service A --within B --profile p --tag-key k --detailed-exitcode -v -o json", "apply", "",
			"cfsg apply --ip-ranges x.json --service A --within B --tag-key k --region eu-west-1 --region us-east-1 --profile p",
		},
		{"plan --force --group sg-0123456789abcdef0 --max-revoke-percent 20", "apply", "", "cfsg apply --max-revoke-percent 20 --force --group sg-0123456789abcdef0"},
		{"status --within B --service A", "plan", "--service C", "cfsg plan --service C"},
		{"check --load-balancer shop --region eu-west-1", "setup", "--port 80,443", "cfsg setup --region eu-west-1 --load-balancer shop --port 80,443"},
		{"setup --load-balancer shop --port 443 --port 80 --yes --rules-per-group 5", "setup", "--close-world", "cfsg setup --load-balancer shop --port 443 --port 80 --rules-per-group 5 --close-world"},
		{"doctor https://example.com --check --profile p", "check", "--address 192.0.2.1", "cfsg check --profile p --address 192.0.2.1"},
	}
	for _, c := range cases {
		parser, err := kong.New(&commands{})
		if err != nil {
			t.Fatal(err)
		}
		k, err := parser.Parse(strings.Fields(c.typed))
		if err != nil {
			t.Fatalf("%s: %v", c.typed, err)
		}
		if got := strings.Join(next(k)(c.command, strings.Fields(c.more)...), " "); got != c.want {
			t.Errorf("after %s: %s, want %s", c.typed, got, c.want)
		}
	}
}
