package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/secgroup"
)

// origin is a network interface and what gets in there, seen from outside: at every change of the endpoint each address
// that is wanted is tried.
type origin struct {
	s      *scene
	id     string
	groups []string
	wanted []netip.Addr
	open   map[netip.Addr]bool
}

// newOrigin attaches groups to an interface and watches it.
func newOrigin(s *scene, wanted []string, groups ...string) *origin {
	s.t.Helper()
	eni, err := s.here.CreateInterface(ec2sim.Interface{Description: "ELB app/shop/0123456789abcdef", Groups: groups})
	if err != nil {
		s.t.Fatal(err)
	}
	o := &origin{s: s, id: eni.ID, groups: groups}
	for _, w := range wanted {
		o.wanted = append(o.wanted, netip.MustParsePrefix(w).Addr().Next())
	}
	o.open = o.now()
	return o
}

// now asks the groups of the interface which of the addresses they let in.
func (o *origin) now() map[netip.Addr]bool {
	open := map[netip.Addr]bool{}
	for _, id := range o.groups {
		g, _ := o.s.here.Group(id)
		for _, r := range g.Ingress {
			for _, a := range o.wanted {
				if r.Protocol == "tcp" && r.From <= 443 && 443 <= r.To && r.Source.Prefix.Contains(a) {
					open[a] = true
				}
			}
		}
	}
	return open
}

// check fails where an address that was open is closed.
func (o *origin) check(when string) {
	o.s.t.Helper()
	now := o.now()
	for a := range o.open {
		if !now[a] {
			o.s.t.Errorf("%s: %v is closed at the interface", when, a)
		}
	}
	o.open = now
}

// A load balancer with its old group, open to everyone and full, and three new groups that are tagged as one exclusive
// pool with it but are attached to nothing yet. In whatever order somebody syncs, attaches and syncs again, CloudFront
// gets in all the while, and in the end nobody else does.
func TestPoolThatIsNotAttachedYet(t *testing.T) {
	ranges := []string{"13.32.0.0/16", "18.64.0.0/16", "52.222.0.0/16", "99.84.0.0/16", "108.138.0.0/16", "143.204.0.0/16"}
	for _, order := range []string{"sync attach sync", "attach sync", "sync sync attach sync", "sync attach-one sync attach sync"} {
		t.Run(order, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil, ranges...)
			old := s.group(s.here, "old", "443", "-pool", "web", "-mode", "exclusive")
			fresh := []string{}
			for i := range 3 {
				fresh = append(fresh, s.group(s.here, fmt.Sprint("new-", i), "443", "-pool", "web", "-mode", "exclusive"))
			}
			world := ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix("0.0.0.0/0"))}
			office := ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("198.51.100.0/24"))}
			if err := s.here.AddRules(old, world, office); err != nil {
				t.Fatal(err)
			}
			o := newOrigin(s, ranges, old)
			attach := func(groups ...string) {
				o.groups = append([]string{old}, groups...)
				if err := s.here.Attach(o.id, o.groups...); err != nil {
					t.Fatal(err)
				}
				o.check("attaching")
			}
			for do := range strings.FieldsSeq(order) {
				switch do {
				case "attach":
					attach(fresh...)
				case "attach-one":
					attach(fresh[0])
				default:
					report, err := s.Run(t.Context(), Request{OnStep: s.onEveryStep(o), Look: true})
					if err != nil {
						t.Fatal(err)
					}
					o.check(do)
					if whole := len(o.groups) == 4; whole != (len(report.Warnings) == 0) {
						t.Errorf("%s: attached whole: %t, warnings %q", do, whole, report.Warnings)
					} else if !whole && !strings.Contains(report.Warnings[0]+report.Warnings[len(report.Warnings)-1], "attach") {
						t.Errorf("the warnings do not say to attach: %q", report.Warnings)
					}
				}
			}
			if strings.Contains(s.sources(s.here, old), "0.0.0.0/0") {
				t.Errorf("0.0.0.0/0 is still there in the end: %s", s.sources(s.here, old))
			}
			if len(o.now()) != len(ranges) {
				t.Errorf("only %d of %d ranges get in in the end", len(o.now()), len(ranges))
			}
		})
	}
}

// onEveryStep checks the origin at each step of a run.
func (s *scene) onEveryStep(o *origin) func(*Target, secgroup.Step) {
	return func(_ *Target, step secgroup.Step) { o.check(step.String()) }
}

// Without the permission to see interfaces, nothing is revoked that another group has replaced, and the run says so;
// what its own group replaces goes.
func TestInterfacesMayNotBeSeen(t *testing.T) {
	s := newScene(t, ec2sim.Options{RulesPerGroup: 2}, []string{"us-east-1"}, nil, "18.64.0.0/16", "18.65.0.0/16")
	one := s.group(s.here, "one", "443", "-pool", "web")
	s.group(s.here, "two", "443", "-pool", "web")
	ours := func(cidr string) ec2sim.Rule {
		return ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(cidr)), Description: key + ": CLOUDFRONT 2026-01-01T00:00:00Z"}
	}
	if err := s.here.AddRules(one, ours("18.64.0.0/15"), ours("18.66.0.0/16")); err != nil {
		t.Fatal(err)
	}
	s.sim.Deny("DescribeNetworkInterfaces")
	report, err := s.Run(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "grant ec2:DescribeNetworkInterfaces") {
		t.Errorf("warnings %q", report.Warnings)
	}
	if got := strings.Fields(s.sources(s.here, one)); slices.Contains(got, "18.66.0.0/16") || len(got) < 2 && !slices.Contains(got, "18.64.0.0/15") {
		t.Errorf("group one has %v", got)
	}
}

// A pool that the first plan closes nothing of is planned again with what was seen of the interfaces, because another
// pool revokes something. Its own interfaces count then as well: here its wide rule has to stay, as the pool has become
// too small for what replaces it, and the group that has a part of that is attached elsewhere.
func TestInterfacesOfAllPoolsCount(t *testing.T) {
	for _, other := range []bool{false, true} {
		ranges := []string{"18.64.0.0/18", "18.64.128.0/18", "18.65.0.0/18"}
		s := newScene(t, ec2sim.Options{RulesPerGroup: 1}, []string{"us-east-1"}, nil, ranges...)
		s.RulesPerGroup = 1
		made := key + ": CLOUDFRONT_ORIGIN_FACING within CLOUDFRONT 2026-01-01T00:00:00Z"
		add := func(id, cidr string) {
			if err := s.here.AddRules(id, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, netip.MustParsePrefix(cidr)), Description: made}); err != nil {
				t.Fatal(err)
			}
		}
		first, second := s.group(s.here, "b1", "443", "-pool", "b"), s.group(s.here, "b2", "443", "-pool", "b")
		add(first, "18.64.0.0/15")
		if other {
			a := s.group(s.here, "a", "none")
			add(a, "52.222.128.0/17")
			newOrigin(s, nil, a, second)
		}
		o := newOrigin(s, ranges, first)
		if _, err := s.Run(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), "too small") {
			t.Errorf("got %v, want that the pool is too small", err)
		}
		if n := len(o.now()); n != len(ranges) {
			t.Errorf("with another pool %t: %d of %d ranges are open at the interface", other, n, len(ranges))
		}
	}
}
