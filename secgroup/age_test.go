package secgroup

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stamp from the future, or one that someone has edited, is told of once a group and counts for nothing. The rules
// get a true one.
func TestPlanDoesNotBelieve(t *testing.T) {
	now := testStamp.Published.Add(time.Minute)
	stampAt := func(d time.Duration) string {
		return Stamp{TagKey: testKey, Services: []string{"CLOUDFRONT"}, Published: now.Add(d)}.String()
	}
	for _, test := range []struct {
		name, description, warning string
	}{
		{"far ahead", stampAt(365 * 24 * time.Hour), "is dated in the future, so its date is ignored"},
		{"more than a clock may be wrong", stampAt(clockSkew + time.Second), "is dated in the future, so its date is ignored"},
		{"edited", testKey + ": CLOUDFRONT 2126-08-22T15:17:05Z, do not touch", "is not one that this tool writes, so its date is ignored"},
		{"no date", testKey + ": by hand", "is not one that this tool writes, so its date is ignored"},
	} {
		t.Run(test.name, func(t *testing.T) {
			groups := []Group{group("sg-1", "443", nil, rulesFor(test.description, "443", "13.32.0.0/15", "18.64.0.0/14"))}
			ranges := prefixes("13.32.0.0/15", "18.64.0.0/14", "52.84.0.0/15")
			change := func(r *Request) { r.Now = now }
			plan := newPlan(t, groups, ranges, change)
			checkSteps(t, plan, "authorize sg-1: 443 52.84.0.0/15", "redescribe sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14")
			if err := plan.Failures(); err != nil {
				t.Error(err)
			}
			if w := plan.Pools[0].Warnings; len(w) != 1 {
				t.Errorf("warnings %q", w)
			} else {
				checkError(t, errors.New(w[0]), "sg-1: ", test.description, "tcp 443 from 13.32.0.0/15", test.warning)
			}
			if applied := plan.Pools[0].Holders[0].Applied; !applied.IsZero() {
				t.Errorf("the group says it is as of %v", applied)
			}
			again := newPlan(t, take(t, plan), ranges, change)
			checkSteps(t, again)
			if w := again.Pools[0].Warnings; len(w) > 0 {
				t.Errorf("warnings of the second run: %q", w)
			}
		})
	}
	t.Run("within what a clock may be wrong", func(t *testing.T) {
		groups := []Group{group("sg-1", "443", nil, rulesFor(stampAt(clockSkew), "443", "13.32.0.0/15"))}
		plan := newPlan(t, groups, prefixes("13.32.0.0/15"), func(r *Request) { r.Now = now })
		var older *OlderError
		if !errors.As(plan.Failures(), &older) || len(plan.Pools[0].Warnings) > 0 {
			t.Errorf("failures %v, warnings %q", plan.Failures(), plan.Pools[0].Warnings)
		}
	})
}

// A file from the future changes nothing, with force or without.
func TestPlanRefusesFuture(t *testing.T) {
	groups := []Group{group("sg-1", "443", nil)}
	for _, test := range []struct {
		ahead  time.Duration
		future bool
	}{{-time.Hour, false}, {0, false}, {clockSkew, false}, {clockSkew + time.Second, true}, {1000 * time.Hour, true}} {
		for _, force := range []bool{false, true} {
			req := Request{Stamp: testStamp, Ranges: prefixes("13.32.0.0/15"), RulesPerGroup: 60, Force: force, Now: testStamp.Published.Add(-test.ahead)}
			plan, err := NewPlan(context.Background(), groups, req)
			if (err != nil) != test.future || (plan == nil) != test.future || err != nil && !strings.Contains(err.Error(), "check the file, and the clock") {
				t.Errorf("%v ahead, force %t: plan %v, error %v", test.ahead, force, plan, err)
			}
		}
	}
}

// A run that only removes leaves its date, first of all, so that an older file is refused however the run ends. Force
// goes back, after which all is of one mind again.
func TestPlanLeavesTheDate(t *testing.T) {
	older, newer := prefixes("13.32.0.0/15", "18.64.0.0/14", "52.84.0.0/15"), prefixes("13.32.0.0/15", "18.64.0.0/14")
	at := func(hours int, force bool) func(*Request) {
		return func(r *Request) {
			r.Published, r.Force = testStamp.Published.Add(time.Duration(hours)*time.Hour), force
		}
	}
	web := []string{"pool=web"}
	groups := []Group{group("sg-1", "443", web), group("sg-2", "443", web, theirs("22", "10.0.0.0/8"))}
	groups = take(t, newPlan(t, groups, older, at(0, false)))
	removes := newPlan(t, groups, newer, at(1, false))
	if ops := removes.Pools[0].Steps; len(ops) != 2 || len(ops[0].Describe) == 0 || len(ops[0].Rules()) != 1 || len(ops[1].Remove) == 0 {
		t.Fatalf("steps %q", steps(removes))
	}
	cut := &Plan{Pools: slices.Clone(removes.Pools)}
	cut.Pools[0].Steps = removes.Pools[0].Steps[:1]
	for _, run := range []struct {
		name   string
		groups []Group
	}{{"whole", take(t, removes)}, {"killed after the first call", take(t, cut)}} {
		t.Run(run.name, func(t *testing.T) {
			refused := newPlan(t, run.groups, older, at(0, false))
			if _, ok := errors.AsType[*OlderError](refused.Failures()); !ok {
				t.Fatalf("an older file is not refused: %v, %q", refused.Failures(), steps(refused))
			}
			checkSteps(t, refused)

			back := newPlan(t, run.groups, older, at(0, true))
			if err := back.Failures(); err != nil {
				t.Fatal(err)
			}
			after := take(t, back)
			for _, force := range []bool{false, true} {
				again := newPlan(t, after, older, at(0, force))
				checkSteps(t, again)
				if err := again.Failures(); err != nil {
					t.Errorf("after going back: %v", err)
				}
			}
		})
	}
	// Without a rule of its own that stays there is none to leave it on.
	foreign := []Group{group("sg-1", "443", nil, theirs("443", "13.32.0.0/15"), ours("443", "18.64.0.0/14"))}
	plan := newPlan(t, foreign, prefixes("13.32.0.0/15"), func(r *Request) { r.MaxRevokePercent = 100 })
	checkSteps(t, plan, "revoke sg-1: 443 18.64.0.0/14")
}
