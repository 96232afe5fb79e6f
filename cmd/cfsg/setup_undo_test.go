package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// An undo takes back what was made, and nothing else.
func TestSetupUndo(t *testing.T) {
	o := newOriginSite(t, openShop)
	groups, interfaces := o.here().Groups(), o.here().Interfaces()
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
	if code, _, stderr := o.shop("--undo", "--yes"); code != exitOK {
		t.Fatal(stderr)
	}
	if now := o.here().Groups(); len(now) != len(groups) {
		t.Errorf("groups %v, were %v", now, groups)
	}
	for i, was := range interfaces {
		if now := o.here().Interfaces()[i]; !slices.Equal(now.Groups, was.Groups) {
			t.Errorf("%s has %v, had %v", was.ID, now.Groups, was.Groups)
		}
	}
	if len(o.shut) > 0 {
		t.Error(o.shut)
	}
	o.ResetCalls()
	if code, stdout, _ := o.cfsg(t.Context(), "setup", "--load-balancer", "shop", "--undo", "--yes"); code != exitOK || len(o.mutating()) > 0 || !strings.Contains(stdout, "nothing to undo") {
		t.Errorf("again: exit code %d, %v, %s", code, o.mutating(), stdout)
	}
}

// --yes does not answer for shutting CloudFront out, with ports named or not.
func TestSetupUndoThatShutsOut(t *testing.T) {
	o := newOriginSite(t, openShop)
	o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes", "--close-world")
	o.ResetCalls()
	for _, args := range [][]string{{"--port", "443"}, {}} {
		code, stdout, stderr := o.cfsg(t.Context(), append([]string{"setup", "--load-balancer", "shop", "--undo", "--yes"}, args...)...)
		if code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "it would shut CloudFront out at eni-") || !strings.Contains(stdout, "detach") {
			t.Errorf("exit code %d, %v, %s%s", code, o.mutating(), stdout, stderr)
		}
	}
}

// An undo that is cut short goes on the next time, also where the load balancer is gone, and refuses where somebody has
// attached the group elsewhere.
func TestSetupUndoKilledAtEveryCall(t *testing.T) {
	set := func(t *testing.T) *originSite {
		o := newOriginSite(t, openShop)
		o.must("setup", "--load-balancer", "shop", "--port", "443", "--yes")
		o.ResetCalls()
		return o
	}
	reference := set(t)
	reference.must("setup", "--load-balancer", "shop", "--port", "443", "--undo", "--yes")
	for n, c := range reference.Calls() {
		t.Run(fmt.Sprintf("%d %s", n, c.Action), func(t *testing.T) {
			o := set(t)
			o.Inject(ec2sim.Fault{Kind: ec2sim.ErrorAfter, Action: ec2sim.AnyAction, After: n, Code: "Boom", Status: http.StatusBadRequest})
			if code, _, _ := o.shop("--undo", "--yes"); code != exitError {
				t.Errorf("nothing is said of an error at %s", c.Action)
			}
			o.must("setup", "--load-balancer", "shop", "--undo", "--yes")
			if n := len(o.here().Groups()); n != len(newOriginSite(t, openShop).here().Groups()) || len(o.shut) > 0 {
				t.Errorf("%d groups, %v", n, o.shut)
			}
		})
	}
	o := set(t)
	for _, g := range o.here().Groups() {
		if g.Name == "cloudfront-ingress-shop-1" {
			if _, err := o.here().CreateInterface(ec2sim.Interface{Groups: []string{g.ID}, Description: "of somebody else"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code, _, stderr := o.shop("--undo", "--yes"); code != exitError || len(o.mutating()) > 0 || !strings.Contains(stderr, "of somebody else") {
		t.Errorf("exit code %d, %v, %s", code, o.mutating(), stderr)
	}
}
