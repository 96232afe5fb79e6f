package secgroup

import (
	"errors"
	"fmt"
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
	ranges := prefixes("13.32.0.0/15", "18.64.0.0/14", "52.84.0.0/15")
	change := func(r *Request) { r.Now = now }
	for description, warning := range map[string]string{
		stampAt(clockSkew + time.Second):                        "is dated in the future, so its date is ignored",
		testKey + ": CLOUDFRONT 2126-08-22T15:17:05Z, my words": "is not one that this tool writes, so its date is ignored",
		testKey + ": by hand":                                   "is not one that this tool writes, so its date is ignored",
	} {
		groups := []Group{group("sg-1", "443", nil, rulesFor(description, "443", "13.32.0.0/15", "18.64.0.0/14"))}
		plan := newPlan(t, groups, ranges, change)
		checkSteps(t, plan, "authorize sg-1: 443 52.84.0.0/15", "redescribe sg-1: 443 13.32.0.0/15, 443 18.64.0.0/14")
		pool := plan.Pools[0]
		if plan.Failures() != nil || len(pool.Warnings) != 1 || !pool.Holders[0].Applied.IsZero() {
			t.Fatalf("failures %v, warnings %q, as of %v", plan.Failures(), pool.Warnings, pool.Holders[0].Applied)
		}
		checkError(t, errors.New(pool.Warnings[0]), "sg-1: ", description, "tcp 443 from 13.32.0.0/15", warning)
		again := newPlan(t, take(t, plan), ranges, change)
		if checkSteps(t, again); len(again.Pools[0].Warnings) > 0 {
			t.Errorf("warnings of the second run: %q", again.Pools[0].Warnings)
		}
	}
	skewed := group("sg-1", "443", nil, rulesFor(stampAt(clockSkew), "443", "13.32.0.0/15"))
	plan := newPlan(t, []Group{skewed}, ranges, change)
	if !isA[*OlderError](plan.Failures()) || len(plan.Pools[0].Warnings) > 0 {
		t.Errorf("within what a clock may be wrong: %v, warnings %q", plan.Failures(), plan.Pools[0].Warnings)
	}
}

// A file from the future changes nothing, with force or without.
func TestPlanRefusesFuture(t *testing.T) {
	groups := []Group{group("sg-1", "443", nil)}
	for ahead, future := range map[time.Duration]bool{-time.Hour: false, clockSkew: false, clockSkew + time.Second: true} {
		for _, force := range []bool{false, true} {
			req := Request{Stamp: testStamp, Ranges: prefixes("13.32.0.0/15"), RulesPerGroup: 60, Force: force}
			req.Now = testStamp.Published.Add(-ahead)
			plan, err := NewPlan(t.Context(), groups, req)
			if (plan == nil) != future || strings.Contains(fmt.Sprint(err), "check the file, and the clock") != future {
				t.Errorf("%v ahead, force %t: plan %v, error %v", ahead, force, plan, err)
			}
		}
	}
}

// A run that only removes leaves its date, first of all, so that an older file is refused however the run ends. Force
// goes back, after which all is of one mind again.
func TestPlanLeavesTheDate(t *testing.T) {
	older, newer := prefixes("13.32.0.0/15", "18.64.0.0/14", "52.84.0.0/15"), prefixes("13.32.0.0/15", "18.64.0.0/14")
	force := func(r *Request) { r.Force = true }
	groups, err := publish(t, pooled("443", "443"), 0, older, nil)
	if err != nil {
		t.Fatal(err)
	}
	removes := newPlan(t, groups, newer, func(r *Request) { r.Published = r.Published.Add(time.Hour) })
	checkSteps(t, removes, "redescribe sg-0: 443 13.32.0.0/15", "revoke sg-0: 443 52.84.0.0/15")
	whole := take(t, removes)
	removes.Pools[0].Steps = removes.Pools[0].Steps[:1]
	for name, groups := range map[string][]Group{"whole": whole, "killed after the first call": take(t, removes)} {
		refused := newPlan(t, groups, older, nil)
		if checkSteps(t, refused); !isA[*OlderError](refused.Failures()) {
			t.Fatalf("%s: an older file is not refused: %v", name, refused.Failures())
		}
		after, err := publish(t, groups, 0, older, force)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range []func(*Request){force, nil} {
			again := newPlan(t, after, older, change)
			if checkSteps(t, again); again.Failures() != nil {
				t.Errorf("%s, after going back: %v", name, again.Failures())
			}
		}
	}
	// Without a rule of its own that stays there is none to leave it on.
	foreign := []Group{group("sg-1", "443", nil, theirs("443", "13.32.0.0/15"), ours("443", "18.64.0.0/14"))}
	plan := newPlan(t, foreign, prefixes("13.32.0.0/15"), func(r *Request) { r.MaxRevokePercent = 100 })
	checkSteps(t, plan, "revoke sg-1: 443 18.64.0.0/14")
}
