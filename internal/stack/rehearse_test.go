//go:build unix

package stack

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rehearse runs deploy/rehearse.sh against the rehearsal's moto, with the release to update from, and returns what it
// prints and how it ends. It is interrupted, as by Ctrl-C, where it prints a line that contains stopAt.
func (r *rehearsal) rehearse(cfsg, old, stopAt string) (string, error) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "bash", "../../deploy/rehearse.sh")
	cmd.Env = append(r.cliEnv(), "YES=1", "CFSG="+cfsg, "OLD="+old)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Minute
	output, w, err := os.Pipe()
	r.must(err)
	cmd.Stdout, cmd.Stderr = w, w
	r.must(cmd.Start())
	r.must(w.Close())
	var printed strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		printed.WriteString(lines.Text() + "\n")
		if stopAt != "" && strings.Contains(lines.Text(), stopAt) {
			r.must(syscall.Kill(-cmd.Process.Pid, interrupt()))
		}
	}
	return printed.String(), cmd.Wait()
}

// interrupt is the signal of Ctrl-C, or, where that is ignored, as in a job in a shell's background, that of kill.
func interrupt() syscall.Signal {
	if signal.Ignored(syscall.SIGINT) {
		return syscall.SIGTERM
	}
	return syscall.SIGINT
}

// cliEnv is the environment of programs that talk to the rehearsal's moto and nobody else.
func (r *rehearsal) cliEnv() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+r.url, "AWS_RETRY_MODE=standard", "AWS_MAX_ATTEMPTS=6",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_REGION="+hubRegion, "AWS_DEFAULT_REGION="+hubRegion,
		"IP_RANGES_URL="+r.feed, "SSL_CERT_FILE="+filepath.Join(r.folder, "cert.pem"))
}

// `make rehearse` goes through against moto, answers all that moto can show with yes, and removes what it made; also
// when it is interrupted.
func TestRehearseScript(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"aws", "bash", "zip", "curl", "openssl", "git", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped: no %s, so make rehearse was not tried", program)
		}
	}
	r := newRehearsal(t)
	document := read(t, "internal/demo/ip-ranges.json")
	r.document.Store(&document)
	cfsg := filepath.Join(r.folder, "cfsg")
	if out, err := exec.Command("go", "build", "-o", cfsg, "../../cmd/cfsg").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	began := time.Now()
	printed, err := r.rehearse(cfsg, "", "")
	if err != nil || strings.Contains(printed, "  no  ") ||
		!strings.Contains(printed, "its rules are withdrawn (reference): ") {
		t.Errorf("the rehearsal ends with %v:\n%s", err, printed)
	}
	t.Logf("the rehearsal takes %s:\n%s", time.Since(began).Round(time.Second), printed)

	printed, err = r.rehearse(cfsg, "none", "this template deploys")
	if status, ok := errors.AsType[*exec.ExitError](err); !ok || status.ExitCode() != 128+int(interrupt()) ||
		!strings.Contains(printed, "is left\n") || strings.Contains(printed, "dry run") {
		t.Errorf("interrupted, the rehearsal ends with %v:\n%s", err, printed)
	}
	r.checkNothingLeft()
}

// checkNothingLeft finds what a rehearsal left behind.
func (r *rehearsal) checkNothingLeft() {
	r.t.Helper()
	for _, command := range []string{
		"cloudformation list-stacks --stack-status-filter CREATE_COMPLETE UPDATE_COMPLETE DELETE_FAILED " +
			"--query StackSummaries[].StackName",
		"ec2 describe-vpcs --filters Name=tag-key,Values=rehearsal --query Vpcs[].VpcId",
		"ec2 describe-security-groups --filters Name=tag-key,Values=rehearsal --query SecurityGroups[].GroupId",
		"ec2 describe-network-interfaces --query NetworkInterfaces[].NetworkInterfaceId",
		"ec2 describe-managed-prefix-lists --filters Name=owner-id,Values=" + hubAccount +
			" --query PrefixLists[?State!='delete-complete'].PrefixListId",
		"logs describe-log-groups --query logGroups[].logGroupName",
		"sqs list-queues --query QueueUrls",
		"sns list-topics --region us-east-1 --query Topics[].TopicArn",
		"s3api list-buckets --query Buckets[?Name!='code'].Name",
		"iam list-roles --query Roles[].RoleName",
	} {
		cmd := exec.Command("aws", append(strings.Fields(command), "--output", "text", "--endpoint-url", r.url)...)
		cmd.Env = r.cliEnv()
		if out, err := cmd.CombinedOutput(); err != nil || strings.Trim(string(out), "\nNone") != "" {
			r.t.Errorf("aws %s: %v %s", command, err, out)
		}
	}
}

// The script makes nothing unless somebody says yes.
func TestRehearseScriptAsks(t *testing.T) {
	dir := t.TempDir()
	const aws, identity = "#!/bin/sh\necho \"$*\" >>$0.calls\necho 123456789012\n",
		"sts get-caller-identity --query Account --output text\n"
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(aws), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"", "no\n", "y\n"} {
		for _, clean := range []string{"", "cfsg-rehearsal-00000000"} {
			cmd := exec.Command("bash", "../../deploy/rehearse.sh")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "AWS_REGION=eu-west-1",
				"AWS_ENDPOINT_URL=", "YES=", "CLEAN="+clean)
			cmd.Stdin = strings.NewReader(reply)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "Account 123456789012, region eu-west-1.") ||
				!strings.Contains(string(out), "nothing was made or removed") {
				t.Errorf("after %q with CLEAN=%q: %v\n%s", reply, clean, err, out)
			}
		}
	}
	called, err := os.ReadFile(filepath.Join(dir, "aws.calls"))
	if err != nil || strings.ReplaceAll(string(called), identity, "") != "" {
		t.Errorf("unasked, it makes the calls %s (%v)", called, err)
	}
}

// Each page that leaves something open until it has run on AWS is answered by the script.
func TestRehearseScriptAnswers(t *testing.T) {
	script, found := read(t, "deploy/rehearse.sh"), 0
	open := regexp.MustCompile(`(?i)\b(not|never|none)\b[^.|]{0,40}\b(run|seen|applied|measured|tried)\s+on\s+AWS\b`)
	for name, page := range readPages(t) {
		if says := open.FindString(page.text); says != "" {
			found++
			// terraform/README.md is terraform
			name = strings.TrimSuffix(path.Base(strings.TrimSuffix(name, "/README.md")), ".md")
			const answer = `(?m)^\t?(shows \d+|on_aws \d+|deploy|answer "not shown here") (\w+,)?`
			if !regexp.MustCompile(answer + name + `\b`).MatchString(script) {
				t.Errorf("%s says %q, and nothing that make rehearse shows answers it", name, says)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d pages say what has not yet run on AWS, want 4 or more", found)
	}
}
