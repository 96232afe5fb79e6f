package main

import (
	"bytes"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/doctor"
)

// doctor has a step for the security groups of an origin's addresses.
func TestDoctorChecksGroups(t *testing.T) {
	const (
		all   = `{"protocol": "tcp", "ports": "443", "source": "18.64.0.0/14"}`
		world = `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0", "description": "launch"}`

		office  = `{"protocol": "tcp", "ports": "443", "source": "203.0.113.0/24"}`
		half    = `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/1"}`
		members = `{"protocol": "tcp", "ports": "443", "source": "group:web"}`
		ssh     = `{"protocol": "tcp", "ports": "22", "source": "0.0.0.0/0"}`
		list    = `{"protocol": "tcp", "ports": "443", "source": "list:com.amazonaws.global.cloudfront.origin-facing"}`
	)
	type groupsCase struct {
		name, ingress, address string
		deny                   string
		verdict                doctor.Verdict
		code, says             string
		access                 doctor.Access
	}
	cases := []groupsCase{
		{"let in", all, "198.51.100.7", "", doctor.OK, "", "all of CLOUDFRONT is let in by the security groups, and nobody else", doctor.OnlyCloudFront},
		{"blocked", "", "198.51.100.7", "", doctor.Fail, "groups-block", "CLOUDFRONT is shut out over IPv4", doctor.SomeOthers},
		{"open", all + "," + world, "198.51.100.7", "", doctor.Warn, "groups-open", "everyone else is let in", doctor.Everyone},
		{"an office", all + "," + office, "198.51.100.7", "", doctor.OK, "", "all of CLOUDFRONT is let in by the security groups", doctor.SomeOthers},
		{"half the internet", all + "," + half, "198.51.100.7", "", doctor.Warn, "groups-open", "everyone else is let in", doctor.SomeOthers},
		{"members of a group", all + "," + members, "198.51.100.7", "", doctor.OK, "", "and nobody else", doctor.OnlyCloudFront},
		{"another port", all + "," + ssh, "198.51.100.7", "", doctor.OK, "", "and nobody else", doctor.OnlyCloudFront},
		{"a list that cannot be read", all + "," + list, "198.51.100.7", "GetManagedPrefixListEntries", doctor.OK, "", "all of CLOUDFRONT is let in by the security groups", doctor.AccessUnknown},
		{"elsewhere", all, "198.51.100.8", "", doctor.Warn, "groups-unknown", "there is no network interface with the address 198.51.100.8", doctor.AccessUnknown},
		{"denied", all, "198.51.100.7", "DescribeNetworkInterfaces", doctor.Warn, "groups-unknown", "grant the permission ec2:DescribeNetworkInterfaces", doctor.AccessUnknown},
		{"no address", all, "", "", doctor.Skipped, "", "no address", doctor.AccessUnknown},
	}
	guide, err := os.ReadFile("../../docs/504.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range regexp.MustCompile("`(groups-[a-z-]+)`").FindAllStringSubmatch(string(guide), -1) {
		if !slices.ContainsFunc(cases, func(c groupsCase) bool { return c.code == code[1] }) {
			t.Errorf("nobody makes %s", code[1])
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := newOperator(t, `{"groups": [{"name": "web", "ingress": [`+c.ingress+`]}],
				"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7"}]}`)
			if c.deny != "" {
				o.Deny(c.deny)
			}
			step := groupsOf(t, o, doctor.Options{}, strings.Fields(c.address)...)
			text := step.Summary
			for _, f := range step.Findings {
				text += "; " + f.Code + ": " + f.Message
			}
			if got := step.Access[netip.MustParseAddr("198.51.100.7")]; got != c.access {
				t.Errorf("access %d, want %d", got, c.access)
			}
			if step.Verdict != c.verdict || !strings.Contains(text, c.code) || !strings.Contains(text, c.says) {
				t.Errorf("verdict %s, %s", step.Verdict, text)
			}
		})
	}
}

// The rules of a load balancer say whether every request needs the secret. They hold it themselves, and it is not told.
func TestDoctorReadsRules(t *testing.T) {
	const (
		app    = `{"name": "app", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"]}`
		closed = `{"name": "app", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"], "headers": {"X-Verify": "hunter2"}}`
		other  = `{"name": "web", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"]}`
		lax    = `{"name": "web", "protocol": "HTTP", "port": 80, "listeners": ["shop:443"], "headers": {"X-Verify": "*"}}`
	)
	for _, c := range []struct {
		name, kind, targets, deny string
		headers                   http.Header
		want                      doctor.Demanded
		says                      string
	}{
		{"all demand it", "application", closed, "", http.Header{"X-Verify": {"hunter2"}}, doctor.Yes, "each rule of listener 443 of load balancer shop that forwards demands X-Verify"},
		{"unknown distribution", "application", closed, "", nil, doctor.Yes, "demands a secret header"},
		{"all demand another", "application", closed, "", http.Header{"X-Other": {"hunter2"}}, doctor.No, "rule 1 of listener 443 of load balancer shop forwards without X-Other"},
		{"none does", "application", app, "", nil, doctor.No, "rule default of listener 443 of load balancer shop forwards without a secret header"},
		{"one does not", "application", closed + "," + other, "", nil, doctor.No, "of listener 443 of load balancer shop forwards without"},
		{"one takes any value", "application", closed + "," + lax, "", nil, doctor.No, "of listener 443 of load balancer shop forwards without"},
		{"it may not be seen", "application", app, "DescribeRules", nil, doctor.Maybe, "grant the permission elasticloadbalancing:DescribeRules"},
		{"no rules", "network", `{"name": "app", "protocol": "TCP", "port": 80, "listeners": ["shop:443"]}`, "", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			protocol := map[string]string{"application": "HTTPS", "network": "TLS"}[c.kind]
			o := newOperator(t, `{"groups": [{"name": "web"}], "loadBalancers": [{"name": "shop", "type": "`+c.kind+`", "groups": ["web"],
				"listeners": ["`+protocol+`:443"], "interfaces": [{"publicIp": "198.51.100.7"}]}], "targetGroups": [`+c.targets+`]}`)
			if c.deny != "" {
				o.Deny(c.deny)
			}
			step := groupsOf(t, o, doctor.Options{Header: c.headers}, "198.51.100.7")
			if c.want == "" {
				if step.Demands != nil {
					t.Errorf("%+v", step.Demands)
				}
				return
			}
			if d := step.Demands; d == nil || d.Demanded != c.want || !strings.Contains(d.Cause, c.says) || strings.Contains(d.Cause, "hunter2") {
				t.Errorf("%+v, want %s: %s", d, c.want, c.says)
			}
		})
	}
}

// groupsOf runs the step that looks at the door of an origin with these addresses.
func groupsOf(t *testing.T, o *operator, options doctor.Options, addresses ...string) doctor.Step {
	t.Helper()
	var err error
	if options.Origin, err = doctor.ParseOrigin("https://origin.example.com/"); err != nil {
		t.Fatal(err)
	}
	var command doctorCommand
	command.EndpointURL, command.Region = o.flags[1], []string{"us-east-1"}
	command.IPRanges, command.Family = o.flags[5], []string{"ipv4"}
	known := &doctor.Report{}
	for _, a := range addresses {
		known.Addresses = append(known.Addresses, doctor.Address{IP: netip.MustParseAddr(a)})
	}
	var out bytes.Buffer
	step, _ := command.securityGroups(t.Context(), terminal{strings.NewReader(""), &out, &out}, options, known)
	if out.Len() > 0 {
		t.Errorf("it prints %s", &out)
	}
	return step
}
