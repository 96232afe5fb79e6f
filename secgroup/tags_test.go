package secgroup

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	one, web := []PortRange{{443, 443}}, []PortRange{{80, 80}, {443, 443}}
	for value, want := range map[string][]PortRange{
		"443": one, "443,80": web, "443 , 80 8080": {{80, 80}, {443, 443}, {8080, 8080}}, "  443\t80\n": web,
		"http https": web, "HTTPS,8443": {{443, 443}, {8443, 8443}}, "8000-8080": {{8000, 8080}}, "1-65535": {{1, 65535}},
		"https 443,443-443": one, "80-90 80-85 80": {{80, 80}, {80, 85}, {80, 90}}, " none ": nil, "None": nil,
	} {
		if got, err := ParsePorts(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", value, got, err, want)
		}
	}
	refused := map[string]string{
		"":     `a port is missing; list ports such as "80 443", or "none"`,
		"\t\n": "a port is missing", ",https": "a port is missing", "80, ,443": "a port is missing",
		"0":        `"0" is not a port; use a number from 1 to 65535, a range such as 8000-8080, http or https`,
		"443 x 80": `"x" is not a port`, "90-80": `port range "90-80" runs backwards; write 80-90`,
		"443,None": `"None" must be the only value`, "none none": `"none" must be the only value`,
	}
	for word := range strings.FieldsSeq("70000 65536 65979 18446744073709552059 -1 +443 443.0 4e2 0x1bb 4_43 ٤٤٣" +
		" tcp/443 HTTPX all * 443;80 80:90 443- - 80-90-100 80--90 0-443 443-70000 http-https") {
		refused[word] = fmt.Sprintf("%q is not a port", word)
	}
	for value, want := range refused {
		if got, err := ParsePorts(value); got != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", value, got, err, want)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, seed := range []string{
		"443", "80 443", "http https", "8000-8080", "none", "https,", "0", "70000", "90-80", "tcp", "443-", "-443",
		"none 443",
		" ", "", "443, 80", "443 443", "1-65535 1-65535,65535", "\u00a0443\u2003",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		ports, err := ParsePorts(value)
		if err != nil {
			return
		}
		for _, p := range ports {
			if p.From < 1 || p.From > p.To {
				t.Errorf("%q: %v is not a range of ports", value, p)
			}
		}
		if !slices.IsSortedFunc(ports, PortRange.compare) || len(slices.Compact(slices.Clone(ports))) != len(ports) {
			t.Errorf("%q: %v is not sorted, each once", value, ports)
		}
		text := cmp.Or(strings.Trim(fmt.Sprint(ports), "[]"), "none") // as a tag lists them
		again, err := ParsePorts(text)
		if err != nil {
			t.Fatalf("%q is read as %v, but %q is not read: %v", value, ports, text, err)
		}
		if !slices.Equal(ports, again) {
			t.Errorf("%q is read as %v, and %q as %v", value, ports, text, again)
		}
	})
}

func TestParseSettings(t *testing.T) {
	https, ranges := []PortRange{{443, 443}}, []PortRange{listPort}
	type tags = map[string]string
	groups, lists := ParseSettings, parseListSettings
	for _, test := range []struct {
		parse func(string, map[string]string) (Settings, error)
		tags  tags
		want  Settings
		err   string
	}{
		{groups, tags{"k": "443", "Name": "web", "kk": "80", "k-port": "80", "K-pool": "web"}, Settings{Ports: https}, ""},
		{groups, tags{"k": "443", "k-pool": " web tier ", "k-mode": "owned"}, Settings{Ports: https, Pool: "web tier"}, ""},
		{groups, tags{"k": "none", "k-pool": "web", "k-mode": ""}, Settings{Pool: "web"}, ""},
		{
			ParseSettings,
			tags{"k": "443", "k-mode": "exclusive", "k-public": "80"},
			Settings{Ports: https, Exclusive: true, Public: []PortRange{{80, 80}}},
			"",
		},
		{groups, nil, Settings{}, `tag k="": a port is missing`},
		{groups, tags{"k": "90-80", "k-pool": "web"}, Settings{}, `tag k="90-80": port range "90-80" runs backwards`},
		{groups, tags{"k": "443", "k-pool": " "}, Settings{}, "tag k-pool is empty; give the pool a name, or remove the tag"},
		{groups, tags{"k": "443", "k-mode": "all"}, Settings{}, `tag k-mode="all": unknown mode; set it to "owned"`},
		{groups, tags{"k": "none", "k-mode": "Exclusive"}, Settings{}, `tag k-mode="Exclusive": unknown mode`},
		{groups, tags{"k": "443", "k-public": "x"}, Settings{}, `tag k-public="x": "x" is not a port`},
		{lists, tags{"k": "ranges"}, Settings{Ports: ranges}, ""},
		{lists, tags{"k": " none "}, Settings{}, ""},
		{lists, tags{"k": "ranges", "k-pool": "web"}, Settings{}, "tag k-pool: prefix lists have no pools"},
		{lists, tags{"k": "443"}, Settings{}, `tag k="443": on a prefix list it is "ranges"`},
		{lists, tags{"k": "ranges", "k-mode": "exclusive"}, Settings{}, "tag k-mode is for security groups"},
	} {
		got, err := test.parse("k", test.tags)
		ok := err == nil && reflect.DeepEqual(test.want, got)
		if test.err != "" {
			ok = strings.Contains(fmt.Sprint(err), test.err)
		}
		if !ok {
			t.Errorf("%v: %+v, %v", test.tags, got, err)
		}
	}
}
