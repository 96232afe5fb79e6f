package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// realCLI returns the path of the real AWS CLI: the scripts here have another first.
func realCLI(t *testing.T) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "aws")
		if out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "aws-cli/") {
			return path
		}
	}
	t.Skip("the AWS CLI is not installed")
	return ""
}

// The command that a list's shortage comes with, pasted as it is, makes room and changes no entry; the next apply does
// the rest. It needs no version of the list:
// https://docs.aws.amazon.com/cli/latest/reference/ec2/modify-managed-prefix-list.html
func TestPastedCommandEnlargesAList(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each call of the AWS CLI takes a second and more")
	}
	cli := realCLI(t)
	o := newOriginSite(t, `{"prefixLists": [{"name": "edge", "family": "IPv4", "maxEntries": 2, "tags": {"cloudfront-ingress": "ranges"}}]}`)
	o.flags = append(o.flags, "--family", "ipv4")
	code, _, stderr := o.cfsg(t.Context(), "apply", "--yes")
	pasted := regexp.MustCompile(`aws (ec2 modify-managed-prefix-list --region us-east-1 --prefix-list-id pl-[0-9a-f]+ --max-entries \d+)\b`).FindStringSubmatch(stderr)
	if code != exitError || pasted == nil {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	edge := func() (entries, size int) {
		for _, l := range o.here().PrefixLists() {
			if l.Name == "edge" {
				return len(l.Entries), l.MaxEntries
			}
		}
		return 0, 0
	}
	before, _ := edge()
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_PAGER", "")
	args := append(strings.Fields(pasted[1]), "--endpoint-url", o.url)
	if out, err := exec.CommandContext(t.Context(), cli, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if entries, size := edge(); entries != before || before != 2 || size != 5 {
		t.Errorf("%d entries of %d, had %d", entries, size, before)
	}
	o.must("apply", "--yes")
	o.must("plan", "--detailed-exitcode")
	if entries, _ := edge(); entries != 3 {
		t.Errorf("%d entries", entries)
	}
}
