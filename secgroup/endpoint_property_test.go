package secgroup

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"pgregory.net/rapid"
)

// endpoint is the embedded EC2 endpoint with the groups of a scene, reached by the real SDK, and watched by the oracle
// between any two calls.
type endpoint struct {
	t     *rapid.T
	sim   *ec2sim.Server
	here  ec2sim.Region
	api   *ec2.Client
	names map[string]string // by ID on the endpoint: ID in the scene
	ids   map[string]string // and back
	peer  string            // the group that rules refer to, on the endpoint
	model *model            // what the endpoint holds, in the oracle's terms
	want  map[point]bool
	open  map[point]bool
	gaps  []netip.Prefix // announced by the plan under way
}

func newEndpoint(t *rapid.T, groups []Group, req Request) *endpoint {
	e := &endpoint{t: t, names: map[string]string{}, ids: map[string]string{}}
	e.sim, e.here, e.api = newSim(ec2sim.Options{RulesPerGroup: 1000})
	peer, err := e.here.CreateGroup(ec2sim.Group{Name: "peer", VPC: e.here.OtherVPC()})
	if err != nil {
		t.Fatal(err)
	}
	e.peer = peer.ID
	for _, g := range groups {
		var rules []ec2sim.Rule
		for _, r := range g.Ingress {
			rules = append(rules, e.rule(r))
		}
		made, err := e.here.CreateGroup(ec2sim.Group{Name: "web-" + g.ID, VPC: e.here.OtherVPC(), Tags: g.Tags, Ingress: rules})
		if err != nil {
			t.Fatal(err)
		}
		e.names[made.ID], e.ids[g.ID] = g.ID, made.ID
	}
	for i, id := range req.GroupIDs {
		req.GroupIDs[i] = e.ids[id]
	}
	e.here.SetQuota(req.RulesPerGroup)
	e.model = newModel(t, req.RulesPerGroup, groups)
	e.want = wantedPoints(groups, req.Ranges)
	e.open = e.model.open()
	e.sim.Observe(e.observe)
	return e
}

// rule returns a rule of the scene as the endpoint holds it.
func (e *endpoint) rule(r Rule) ec2sim.Rule {
	out := ec2sim.Rule{Permission: ec2sim.Permission{Protocol: r.Protocol, From: r.From, To: r.To}, Description: r.Description}
	out.Source.Prefix = r.Source.Prefix
	if r.Source.Reference != "" {
		out.Source.Reference = e.peer
	}
	return out
}

// observe checks the state after a change: nothing wanted is closed that was open before the change, no foreign rule is
// gone, and no group is fuller than its quota allows unless it was before.
func (e *endpoint) observe(c ec2sim.Change) {
	for _, g := range c.Groups {
		mine := e.model.groups[e.names[g.ID]]
		before := mine.Ingress
		mine.Ingress = nil
		for _, r := range g.Ingress {
			source := Source{Prefix: r.Source.Prefix}
			if r.Source.Reference != "" {
				source.Reference = testReference
			}
			mine.Ingress = append(mine.Ingress, Rule{RuleID: RuleID{r.Protocol, r.From, r.To, source}, Description: r.Description})
		}
		for _, r := range before {
			exclusive := mine.Tags[testKey+"-mode"] == "exclusive" && r.Protocol == "tcp" && r.Source.Prefix.IsValid()
			if !stamped(testKey, r.Description) && !exclusive && !slices.Contains(mine.Ingress, r) {
				e.t.Fatalf("%s of %s removes or changes %v, which is not this tool's", c.Call.Action, mine.ID, r)
			}
		}
	}
	open := e.model.open()
	for pt := range e.open {
		if e.want[pt] && !open[pt] && !slices.ContainsFunc(e.gaps, func(p netip.Prefix) bool { return p.Contains(pt.addr) }) {
			e.t.Fatalf("%s %s closes %v", c.Call.Action, c.Call.Resource, pt)
		}
	}
	e.open = open
}

// sync discovers, plans and applies once, as the engine does, and returns the first failure of a step.
func (e *endpoint) sync(req Request) (plan *Plan, err error) {
	groups, _, err := Discover(context.Background(), e.api, testKey)
	if err != nil {
		return nil, err
	}
	if plan, err = NewPlan(context.Background(), groups, req); err != nil {
		e.t.Fatal(err)
	}
	for _, pool := range plan.Pools {
		for _, step := range pool.Steps {
			e.gaps = append(e.gaps, step.Gap...)
			if failed := applied(context.Background(), e.api, step); failed != nil {
				err = failed
				break
			}
		}
	}
	return plan, err
}

func TestPromisesOnEndpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups, req := genScene(t)
		req.Force = true
		req.Attachments = nil // with them the end is exact only where groups are attached together
		e := newEndpoint(t, groups, req)
		plan, err := e.sync(req)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Failures() != nil || len(req.GroupIDs) > 0 {
			return
		}
		checkExact(t, e.model, req)
		mutations(e.sim)
		if _, err := e.sync(req); err != nil {
			t.Fatal(err)
		}
		if n := mutations(e.sim); n != 0 {
			t.Fatalf("a second run makes %d mutating calls", n)
		}
	})
}
