package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// watched is a terminal's output that calls a function once a text was written to it.
type watched struct {
	strings.Builder
	text string
	seen func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	if strings.Contains(w.String(), w.text) {
		w.seen()
	}
	return n, err
}

// Ctrl-C at a question ends the program at once, which says what was done, and does nothing more.
func TestInterruptAtAQuestion(t *testing.T) {
	setSetupPatience(t)
	for _, c := range []struct {
		name, seed string
		first      []string
		args       []string
		typed      string
		at, want   string
	}{
		{"apply", fourGroups, nil, []string{"apply", "--force"}, "", "Apply 3 steps?", "interrupted: nothing was changed"},
		{"setup", openShop, nil, []string{"setup", "--load-balancer", "shop", "--port", "443"}, "", "Apply 4 steps?", "interrupted: nothing was changed"},
		{"setup's second question", openShop, nil, []string{"setup", "--load-balancer", "shop", "--port", "443"}, "yes\n", "Close 2 rules", "interrupted: 4 steps were taken, and nothing else was changed\nhint: run it again to continue"},
		{"undo", openShop, shop(), undoShop[:len(undoShop)-1], "", "Undo what setup did", "interrupted: nothing was changed"},
		{"undo that shuts out", openShop, shop("--close-world"), undoShop[:len(undoShop)-1], "", "Shut CloudFront out?", "interrupted: nothing was changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOperatorWith(t, c.seed, originFacingRanges)
			if c.first != nil {
				o.must(c.first...)
				o.ResetCalls()
			}
			s := newScreen(t, 200) // what is typed comes from a terminal, where nobody types
			defer func() {
				fmt.Fprintln(s.master) // ends the read that nobody waits for any more
				s.read()
			}()
			fmt.Fprint(s.master, c.typed)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			out, errs := &watched{text: c.at, seen: interrupt}, &strings.Builder{}
			code := run(ctx, append(c.args, o.flags...), terminal{s.File, out, errs})
			if code != exitInterrupted || !strings.HasSuffix(errs.String(), "cfsg: "+c.want+"\n") {
				t.Errorf("exit code %d, %q, want %q\n%s", code, errs.String(), c.want, out.String())
			}
			for _, call := range o.Calls() {
				if call.Mutating && c.typed == "" {
					t.Errorf("it calls %s", call.Action)
				}
			}
		})
	}
}

// A plan that the function carries out while somebody reads it, or while apply is at work, has been a success. The
// report counts the steps of apply itself.
func TestApplyAfterSomebodyElse(t *testing.T) {
	seed := strings.NewReplacer( // in a default VPC EC2 accepts a revoke of what is not there
		`{"groups"`, `{"vpcs": [{"name": "v", "cidr": "10.1.0.0/16"}], "groups"`, `{"name"`, `{"vpc": "v", "name"`).Replace(fourGroups)
	twin := newOperator(t, seed)
	twin.must("apply", "--yes", "--force")
	for after, own := range map[string]string{
		"DescribeNetworkInterfaces":     ": 0 rules added, 0 revoked, in 0 of 2", // what the plan is made from ends with the interfaces
		"AuthorizeSecurityGroupIngress": ": 4 rules added, 0 revoked, in 1 of 2",
	} {
		t.Run(after, func(t *testing.T) {
			o := newOperator(t, seed)
			intervened := false
			o.before = func() {
				calls := o.Calls()
				if intervened || len(calls) == 0 || calls[len(calls)-1].Action != after {
					return
				}
				intervened = true
				for _, g := range twin.Region("", "us-east-1").Groups() {
					if err := o.Region("", "us-east-1").SetRules(g.ID, g.Ingress...); err != nil {
						t.Error(err)
					}
				}
			}
			code, stdout, stderr := o.cfsg(t.Context(), "apply", "--yes", "--force")
			if code != exitOK || !strings.Contains(stderr, "somebody else, such as the function, did the rest in the meantime") || !strings.Contains(stdout, own) {
				t.Errorf("exit code %d, %s%s", code, stdout, stderr)
			}
		})
	}
}
