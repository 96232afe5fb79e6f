package door

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// cfsg check takes less than 50 ms beside its calls on a door of real size, reading the file once included: two
// interfaces, five groups with all of CLOUDFRONT, and a network ACL with twenty entries.
func BenchmarkRealDoor(b *testing.B) {
	q := both()
	q.Services, q.TagKey = []string{"CLOUDFRONT"}, "cloudfront-ingress"
	q.Wanted = realRanges(b, "CLOUDFRONT")
	var groups []secgroup.Group
	for some := range slices.Chunk(rulesFrom(q.Wanted.Merged()), 45) {
		groups = append(groups, secgroup.Group{ID: fmt.Sprint("sg-", len(groups)), Tags: map[string]string{q.TagKey: "443"}, Ingress: some})
	}
	subnet := Subnet{ID: "subnet-1", VPC: "vpc-1", Routes: []Route{
		{To: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Target: "igw-1"}, {To: []netip.Prefix{netip.MustParsePrefix("::/0")}, Target: "igw-1"},
	}}
	for i := range 16 { // each denies somebody else, in and out
		subnet.ACLRules = append(subnet.ACLRules, ACLRule{Number: int32(100 + i), Egress: i%2 == 1, Protocol: "6", To: 65535, Prefix: netip.MustParsePrefix(fmt.Sprintf("203.0.%d.0/24", i))})
	}
	for i, all := range []string{"0.0.0.0/0", "::/0", "0.0.0.0/0", "::/0"} {
		subnet.ACLRules = append(subnet.ACLRules, ACLRule{Number: int32(200 + i), Egress: i > 1, Allow: true, Protocol: "-1", To: 65535, Prefix: netip.MustParsePrefix(all)})
	}
	scene := &Scene{Network: &Network{Subnets: map[string]Subnet{subnet.ID: subnet}}}
	for i := range 2 {
		scene.Subjects = append(scene.Subjects, Subject{Groups: groups, Interface: &Interface{
			ID: fmt.Sprint("eni-", i), VPC: subnet.VPC, Subnet: subnet.ID, PrivateIPv4: prefixAddrs("10.0.0.7"), PublicIPv4: prefixAddrs("198.51.100.7"), IPv6: prefixAddrs("2600:1f18::7"),
		}})
	}
	if r := Judge(scene, q); len(groups) != 5 || r.Mark != OK {
		b.Fatalf("%d groups, %s: %s", len(groups), r.Mark, r.Cause)
	}
	document, before := realDocument(b), cpu(b)
	for b.Loop() {
		var err error
		if q.Wanted, err = iprange.Decode(bytes.NewReader(document), iprange.Selection{Services: q.Services, IPv4: true, IPv6: true}); err != nil {
			b.Fatal(err)
		}
		Judge(scene, q)
	}
	took := (cpu(b) - before) / time.Duration(b.N)
	b.ReportMetric(float64(took.Milliseconds()), "cpu-ms/op")
	if took > 50*time.Millisecond {
		b.Errorf("it takes %v of CPU", took)
	}
}

// cpu returns the CPU time that this process has taken.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
