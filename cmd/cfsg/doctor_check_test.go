package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/doctor"
)

// What the security groups of an origin's addresses let in becomes a step of
// doctor's.
func TestDoctorChecksGroups(t *testing.T) {
	const (
		all   = `{"protocol": "tcp", "ports": "443", "source": "18.64.0.0/14"}`
		world = `{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0", "description": "launch"}`
	)
	cases := []struct {
		name, ingress, address string
		deny                   string
		verdict                doctor.Verdict
		code, says             string
	}{
		{"let in", all, "198.51.100.7", "", doctor.OK, "", "all of CLOUDFRONT is let in"},
		{"blocked", "", "198.51.100.7", "", doctor.Fail, "groups-block", "CLOUDFRONT is blocked at eni-"},
		{"open", all + "," + world, "198.51.100.7", "", doctor.Warn, "groups-open", "everyone else is let in"},
		{"elsewhere", all, "198.51.100.8", "", doctor.Warn, "groups-unknown", "there is no network interface with the address 198.51.100.8"},
		{"denied", all, "198.51.100.7", "DescribeNetworkInterfaces", doctor.Warn, "groups-unknown", "grant the permission ec2:DescribeNetworkInterfaces"},
		{"no address", all, "", "", doctor.Skipped, "", "no address"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := newOperator(t, `{"groups": [{"name": "web", "ingress": [`+c.ingress+`]}],
				"interfaces": [{"groups": ["web"], "publicIp": "198.51.100.7"}]}`)
			if c.deny != "" {
				o.Deny(c.deny)
			}
			command := doctorCommand{origin: doctor.Origin{Port: 443}}
			command.EndpointURL, command.Region = o.flags[1], []string{"us-east-1"}
			command.IPRanges, command.Family = o.flags[5], []string{"ipv4"}
			known := &doctor.Report{}
			if c.address != "" {
				known.Addresses = []doctor.Address{{IP: netip.MustParseAddr(c.address)}}
			}
			var out bytes.Buffer
			step := command.securityGroups(terminal{strings.NewReader(""), &out, &out}).Run(t.Context(), known)
			text := step.Summary
			for _, f := range step.Findings {
				text += "; " + f.Code + ": " + f.Message
			}
			if step.Verdict != c.verdict || !strings.Contains(text, c.code) || !strings.Contains(text, c.says) {
				t.Errorf("verdict %s, %s", step.Verdict, text)
			}
			if out.Len() > 0 {
				t.Errorf("it prints %s", &out)
			}
		})
	}
}
