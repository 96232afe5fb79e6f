package iprange

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServices(t *testing.T) {
	got, err := Services(strings.NewReader(document("1787411825")))
	if err != nil {
		t.Fatal(err)
	}
	want := []Service{
		{Name: "AMAZON", IPv4: []netip.Prefix{netip.MustParsePrefix("3.4.12.4/32")}},
		{
			Name: "CLOUDFRONT",
			IPv4: []netip.Prefix{netip.MustParsePrefix("13.32.0.0/15")},
			IPv6: []netip.Prefix{netip.MustParsePrefix("2600:9000::/28")},
		},
		{Name: "EC2", IPv6: []netip.Prefix{netip.MustParsePrefix("2600:1f14:802:7300::/56")}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestServicesFails(t *testing.T) {
	good := document("1787411825")
	cases := []struct{ name, file, want string }{
		{"nothing", "", "the file is empty"},
		{"cut", good[:len(good)/2], "the file is cut short"},
		{"another document", `{"a": 1}`, "this is not ip-ranges.json: it has no syncToken"},
		{"no prefix", strings.Replace(good, "3.4.12.4/32", "3.4.12.4", 1), `prefixes entry 0: "3.4.12.4" (AMAZON) is not a prefix in CIDR notation`},
		{"data behind it", good + "x", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if services, err := Services(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("services %v, error %v, want one with %q", services, err, c.want)
			}
		})
	}
}
