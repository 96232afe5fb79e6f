package iprange

import (
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
		{Name: "AMAZON", IPv4: prefixes("3.4.12.4/32")},
		{
			Name: "CLOUDFRONT",
			IPv4: prefixes("13.32.0.0/15"),
			IPv6: prefixes("2600:9000::/28"),
		},
		{Name: "EC2", IPv6: prefixes("2600:1f14:802:7300::/56")},
	}
	if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
		t.Error(diff)
	}
}

func TestServicesFails(t *testing.T) {
	good := document("1787411825")
	for file, want := range map[string]string{
		"":                 "the file is empty",
		good[:len(good)/2]: "the file is cut short",
		`{"a": 1}`:         "this is not ip-ranges.json: it has no syncToken",
		strings.Replace(good, "3.4.12.4/32", "3.4.12.4", 1): `entry 0: "3.4.12.4" (AMAZON) is not a prefix in CIDR notation`,
		good + "x": "more data follows",
	} {
		_, err := Services(strings.NewReader(file))
		checkError(t, err, want)
	}
}
