package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"go4.org/netipx"
)

// changing is a scene with a pool, whose list changes from run to run, under the eyes of a watch.
type changing struct {
	*scene
	*watch
	ids     []string
	token   int
	current string
}

func newChanging(t *testing.T, groups int) *changing {
	t.Helper()
	c := &changing{scene: newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil), token: 1790000000}
	c.watch = &watch{t: t, ports: []int32{443}, groups: map[string]ec2sim.Group{}, open: map[int32]*netipx.IPSet{}}
	for i := range groups {
		c.ids = append(c.ids, c.group(c.here, fmt.Sprint("web-", i), "443", "-pool", "web"))
	}
	c.sim.Observe(c.observe)
	c.Log = slog.New(gapLog{slog.DiscardHandler, c.watch})
	c.fetcher.Transport = transport(func() string { return c.current })
	return c
}

// publish puts up a file with the ranges and runs the engine on it.
func (c *changing) publish(token int, force bool, ranges []netip.Prefix) (*Report, error) {
	c.putUp(token, ranges)
	return c.Run(c.scene.t.Context(), Request{Force: force})
}

// putUp puts up a file with the ranges.
func (c *changing) putUp(token int, ranges []netip.Prefix) {
	var entries [2][]string
	for _, r := range ranges {
		field, list := "ip_prefix", &entries[0]
		if r.Addr().Is6() {
			field, list = "ipv6_prefix", &entries[1]
		}
		*list = append(*list, fmt.Sprintf(`{"%s":"%s","service":"CLOUDFRONT"}`, field, r))
	}
	c.current = fmt.Sprintf(`{"syncToken":"%d","prefixes":[%s],"ipv6_prefixes":[%s]}`, token, strings.Join(entries[0], ","), strings.Join(entries[1], ","))
	c.wanted = setOf(ranges)
	c.sim.ResetCalls()
}

// next publishes a newer file, which must not fail, and checks that the groups are exact. It returns the number of
// mutating calls.
func (c *changing) next(ranges []netip.Prefix) int {
	c.scene.t.Helper()
	c.token++
	if _, err := c.publish(c.token, false, ranges); err != nil {
		c.scene.t.Fatal(err)
	}
	n := c.mutations()
	c.exact(ranges)
	return n
}

func (c *changing) exact(ranges []netip.Prefix) {
	c.scene.t.Helper()
	merged := iprange.Merge(ranges)
	c.checkExact(c.ids, &iprange.Publication{IPv6: merged}, []int32{443}, c.token)
}

// parts cuts a prefix into its subnets of a length.
func parts(prefix string, bits int) []netip.Prefix {
	p := netip.MustParsePrefix(prefix)
	var out []netip.Prefix
	for a := p.Addr(); p.Contains(a); a = netipx.PrefixLastIP(out[len(out)-1]).Next() {
		out = append(out, netip.PrefixFrom(a, bits))
	}
	return out
}

// spread returns n ranges that do not merge: every other /20.
func spread(n int) []netip.Prefix {
	var out []netip.Prefix
	for i, p := range parts("52.0.0.0/8", 20)[:2*n] {
		if i%2 == 0 {
			out = append(out, p)
		}
	}
	return out
}

// AWS splits a block and joins it again: the same addresses make no call, and when half of the pieces are gone for one
// version no other address is closed.
func TestListIsSplitAndJoined(t *testing.T) {
	c := newChanging(t, 2)
	others := spread(10)
	c.next(append(parts("2600:9000::/36", 36), others...))
	if n := c.next(append(parts("2600:9000::/36", 44), others...)); n != 0 {
		t.Errorf("256 pieces of the same block make %d calls", n)
	}
	var half []netip.Prefix
	for i, p := range parts("2600:9000::/36", 40) {
		if i%2 == 0 {
			half = append(half, p)
		}
	}
	c.next(append(half, others...))
	c.next(append(parts("2600:9000::/36", 36), others...))
}

// Tenfold growth for one version, and back: the way back would close most of it, so it is held until forced.
func TestListGrowsTenfold(t *testing.T) {
	c := newChanging(t, 4)
	c.next(spread(20))
	c.next(spread(200))
	for range 2 {
		c.token++
		report, err := c.publish(c.token, false, spread(20))
		var held *secgroup.HeldError
		if !errors.As(err, &held) || held.Losing != 180 || held.Prefixes != 200 || report.Changed {
			t.Fatalf("error %v, report %+v", err, report)
		}
		c.exact(spread(200))
	}
	if _, err := c.publish(c.token, true, spread(20)); err != nil {
		t.Fatal(err)
	}
	c.exact(spread(20))
}

// The list is replaced: what is new is opened at once, what is gone is closed only by force, however often the run is
// repeated.
func TestListIsReplaced(t *testing.T) {
	c := newChanging(t, 4)
	c.next(spread(40)[:20])
	c.token++
	for range 3 {
		if _, err := c.publish(c.token, false, spread(40)[20:]); err == nil {
			t.Fatal("all rules lost addresses, and the run did not fail")
		}
		c.exact(spread(40))
	}
	if _, err := c.publish(c.token, true, spread(40)[20:]); err != nil {
		t.Fatal(err)
	}
	c.exact(spread(40)[20:])
}

// Half of the list may go, more may not.
func TestHalfTheListIsGone(t *testing.T) {
	c := newChanging(t, 1)
	c.next(spread(20))
	c.next(spread(20)[:10])
	c.token++
	if _, err := c.publish(c.token, false, spread(20)[:4]); err == nil {
		t.Error("6 of 10 rules lost addresses, and the run did not fail")
	}
	c.exact(spread(20)[:10])
}

// An older file after a newer one is refused; force goes back all the same.
func TestOlderFile(t *testing.T) {
	c := newChanging(t, 1)
	c.next(spread(20))
	_, err := c.publish(c.token-1, false, spread(19))
	if _, ok := errors.AsType[*secgroup.OlderError](err); !ok {
		t.Errorf("error %v", err)
	}
	if n := c.mutations(); n != 0 {
		t.Errorf("%d mutating calls", n)
	}
	c.exact(spread(20))
	if _, err := c.publish(c.token-1, true, spread(19)); err != nil {
		t.Error(err)
	}
	c.exact(spread(19))
	c.mutations()
	// The rules are the older file's now, which is read again.
	if _, err := c.publish(c.token-1, false, spread(19)); err != nil || c.mutations() != 0 {
		t.Errorf("after force: error %v", err)
	}
}

// Two runs at once on the same pool end without damage, and the state is exact.
func TestTwoRunsAtOnce(t *testing.T) {
	for range 20 {
		one := newChanging(t, 3)
		one.next(spread(60))
		// The second engine works on the same endpoint, with a fetcher of its own.
		two := *one.Engine
		two.Targets = ownTargets(one.Targets)
		two.Fetch = (&iprange.Fetcher{Selection: one.fetcher.Selection, Transport: one.fetcher.Transport}).Fetch
		ranges := slices.Concat(spread(120)[30:], parts("2600:9000::/36", 36))
		one.token++
		one.putUp(one.token, ranges)
		var running sync.WaitGroup
		for _, e := range []*Engine{one.Engine, &two} {
			running.Go(func() {
				if _, err := e.Run(t.Context(), Request{}); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		one.exact(ranges)
	}
}
