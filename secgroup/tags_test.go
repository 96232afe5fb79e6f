package secgroup

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParsePorts(t *testing.T) {
	for _, test := range []struct {
		value string
		want  []PortRange
	}{
		{"443", []PortRange{{443, 443}}},
		{"1", []PortRange{{1, 1}}},
		{"65535", []PortRange{{65535, 65535}}},
		{"80 443", []PortRange{{80, 80}, {443, 443}}},
		{"443,80", []PortRange{{80, 80}, {443, 443}}},
		{"443, 80", []PortRange{{80, 80}, {443, 443}}},
		{"443 ,80", []PortRange{{80, 80}, {443, 443}}},
		{"443 , 80 8080", []PortRange{{80, 80}, {443, 443}, {8080, 8080}}},
		{"  443\t80\n", []PortRange{{80, 80}, {443, 443}}},
		{"http https", []PortRange{{80, 80}, {443, 443}}},
		{"https", []PortRange{{443, 443}}},
		{"HTTPS,8443", []PortRange{{443, 443}, {8443, 8443}}},
		{"None", nil},
		{"8000-8080", []PortRange{{8000, 8080}}},
		{"1-65535", []PortRange{{1, 65535}}},
		{"443-443", []PortRange{{443, 443}}},
		{"443 443", []PortRange{{443, 443}}},
		{"https 443,443-443", []PortRange{{443, 443}}},
		{"80-90 443 80-90", []PortRange{{80, 90}, {443, 443}}},
		{"80-90 80-85 80", []PortRange{{80, 80}, {80, 85}, {80, 90}}},
		{"none", nil},
		{" none ", nil},
	} {
		t.Run(test.value, func(t *testing.T) {
			got, err := ParsePorts(test.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParsePortsRefused(t *testing.T) {
	for _, test := range []struct{ value, word string }{
		{"", `a port is missing; list ports such as "80 443", or "none"`},
		{" ", "a port is missing"},
		{"\t\n", "a port is missing"},
		{",", "a port is missing"},
		{"https,", "a port is missing"},
		{",https", "a port is missing"},
		{"80,,443", "a port is missing"},
		{"80, ,443", "a port is missing"},
		{"0", `"0" is not a port; use a number from 1 to 65535, a range such as 8000-8080, http or https`},
		{"00", `"00" is not a port`},
		{"70000", `"70000" is not a port`},
		{"65536", `"65536" is not a port`},
		{"65979", `"65979" is not a port`}, // 443 in 16 bits
		{"18446744073709552059", "is not a port"},
		{"-1", "is not a port"},
		{"+443", `"+443" is not a port`},
		{"443.0", `"443.0" is not a port`},
		{"4e2", `"4e2" is not a port`},
		{"0x1bb", `"0x1bb" is not a port`},
		{"4_43", `"4_43" is not a port`},
		{"٤٤٣", `"٤٤٣" is not a port`},
		{"tcp", `"tcp" is not a port`},
		{"tcp/443", `"tcp/443" is not a port`},
		{"HTTPX", `"HTTPX" is not a port`},
		{"443,None", `"None" must be the only value`},
		{"all", `"all" is not a port`},
		{"*", `"*" is not a port`},
		{"443;80", `"443;80" is not a port`},
		{"80:90", `"80:90" is not a port`},
		{"443 x 80", `"x" is not a port`},
		{"90-80", `port range "90-80" runs backwards; write 80-90`},
		{"443-", `"443-" is not a port`},
		{"-443", `"-443" is not a port`},
		{"-", "is not a port"},
		{"80 - 90", "is not a port"},
		{"80-90-100", `"80-90-100" is not a port`},
		{"80--90", `"80--90" is not a port`},
		{"0-443", `"0-443" is not a port`},
		{"443-70000", `"443-70000" is not a port`},
		{"http-https", `"http-https" is not a port`},
		{"none 443", `"none" must be the only value`},
		{"443 none", `"none" must be the only value`},
		{"443,none", `"none" must be the only value`},
		{"none none", `"none" must be the only value`},
	} {
		t.Run(test.value, func(t *testing.T) {
			got, err := ParsePorts(test.value)
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("error %v, want one with %q", err, test.word)
			}
			if got != nil {
				t.Errorf("%v is returned with the error", got)
			}
		})
	}
}

// formatPorts writes ports as a tag lists them.
func formatPorts(ports []PortRange) string {
	if len(ports) == 0 {
		return "none"
	}
	var words []string
	for _, p := range ports {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

func FuzzParsePorts(f *testing.F) {
	for _, seed := range []string{
		"443", "80 443", "http https", "8000-8080", "none", "https,", "0", "70000", "90-80", "tcp", "443-", "-443", "none 443",
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
		text := formatPorts(ports)
		again, err := ParsePorts(text)
		if err != nil {
			t.Fatalf("%q is read as %v, but %q is not read: %v", value, ports, text, err)
		}
		if diff := cmp.Diff(ports, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q, written as %q, reads otherwise\n%s", value, text, diff)
		}
	})
}

func TestParseSettings(t *testing.T) {
	https := []PortRange{{443, 443}}
	for _, test := range []struct {
		name string
		tags map[string]string
		want Settings
	}{
		{"ports", map[string]string{"k": "443"}, Settings{Ports: https}},
		{"none", map[string]string{"k": "none"}, Settings{}},
		{"other tags", map[string]string{"k": "443", "Name": "web", "kk": "80", "k-port": "80", "K-pool": "web"}, Settings{Ports: https}},
		{"pool", map[string]string{"k": "443", "k-pool": "web"}, Settings{Ports: https, Pool: "web"}},
		{"pool in spaces", map[string]string{"k": "443", "k-pool": " web tier "}, Settings{Ports: https, Pool: "web tier"}},
		{"pool of none", map[string]string{"k": "none", "k-pool": "web"}, Settings{Pool: "web"}},
		{"owned", map[string]string{"k": "443", "k-mode": "owned"}, Settings{Ports: https}},
		{"mode empty", map[string]string{"k": "443", "k-mode": ""}, Settings{Ports: https}},
		{"exclusive", map[string]string{"k": "443", "k-mode": "exclusive"}, Settings{Ports: https, Exclusive: true}},
		{"all three", map[string]string{"k": "https", "k-pool": "web", "k-mode": "exclusive"}, Settings{Ports: https, Pool: "web", Exclusive: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseSettings("k", test.tags)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseSettingsRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		tags map[string]string
		want string
	}{
		{"no tag", nil, `tag k="": a port is missing`},
		{"ports", map[string]string{"k": "https,"}, `tag k="https,": a port is missing`},
		{"range", map[string]string{"k": "90-80", "k-pool": "web"}, `tag k="90-80": port range "90-80" runs backwards`},
		{"pool empty", map[string]string{"k": "443", "k-pool": ""}, "tag k-pool is empty; give the pool a name, or remove the tag"},
		{"pool blank", map[string]string{"k": "443", "k-pool": " "}, "tag k-pool is empty"},
		{"mode unknown", map[string]string{"k": "443", "k-mode": "all"}, `tag k-mode="all": unknown mode; set it to "owned" or "exclusive"`},
		{"mode in capitals", map[string]string{"k": "443", "k-mode": "Exclusive"}, `tag k-mode="Exclusive": unknown mode`},
		{"mode of none", map[string]string{"k": "none", "k-mode": "no"}, `tag k-mode="no": unknown mode`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseSettings("k", test.tags)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
