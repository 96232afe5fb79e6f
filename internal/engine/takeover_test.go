package engine

import (
	"net/netip"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// The groups of AWS's sample function, one with the GLOBAL ranges and one with the regional ones, unmerged and without
// descriptions, are taken over by the tags that docs/migration.md names: nothing is closed on the way, wanted rules are
// kept, and other ports are left alone.
func TestTakeOverFromSample(t *testing.T) {
	c := newChanging(t, 0)
	for i := range 3 {
		c.ids = append(c.ids, c.group(c.here, []string{"cloudfront_g", "cloudfront_r", "cloudfront_3"}[i], "443", "-pool", "cloudfront", "-mode", "exclusive"))
	}
	published := spread(100)
	var sample []ec2sim.Rule
	for i, r := range published[:50] {
		sample = append(sample, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, r)})
		if i >= 40 { // published as halves in the sample's day
			sample = sample[:len(sample)-1]
			for _, half := range parts(r.String(), r.Bits()+1) {
				sample = append(sample, ec2sim.Rule{Permission: ec2sim.TCP(443, 443, half)})
			}
		}
	}
	office := ec2sim.Rule{Permission: ec2sim.TCP(22, 22, netip.MustParsePrefix("10.0.0.0/8"))}
	if err := c.here.AddRules(c.ids[0], append(sample[:59:59], office)...); err != nil {
		t.Fatal(err)
	}
	if err := c.here.AddRules(c.ids[1], sample[59:]...); err != nil {
		t.Fatal(err)
	}
	c.token++
	report, err := c.publish(c.token, false, published)
	if err != nil {
		t.Fatal(err)
	}
	if kept := report.Groups[0].Kept + report.Groups[1].Kept; kept != 40 {
		t.Errorf("%d rules are kept, not the 40 wanted ones", kept)
	}
	if c.closed > 0 {
		t.Errorf("%d gaps", c.closed)
	}
	c.exact(published)
	// Every rule on the port is marked now: without the mode nothing changes.
	for _, id := range c.ids {
		if err := c.here.SetTags(id, map[string]string{key: "443", key + "-pool": "cloudfront"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.next(published); n != 0 {
		t.Errorf("%d mutating calls after the take-over", n)
	}
	report, err = c.publish(c.token, false, published)
	if err != nil || report.Groups[0].Foreign != 1 {
		t.Errorf("error %v, report %+v", err, report)
	}
}
