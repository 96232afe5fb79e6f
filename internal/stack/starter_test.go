package stack

import (
	"testing"

	"cloudfront-sg-sync/secgroup"
)

// checkStarterGroups finds starter groups that are not a pool as the function understands it, that are too few, or
// whose inbound rules CloudFormation would mind.
func checkStarterGroups(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, starterFile)
	for _, test := range []struct {
		service string
		groups  int
		rules   int // merged IPv4 rules of the service, on 2026-08-22
	}{
		{"CLOUDFRONT", 4, 180},
		{"CLOUDFRONT_ORIGIN_FACING", 1, 45},
	} {
		d := deploy(s, map[string]string{"VpcId": "vpc-1", "Service": test.service, "Port": "8443", "Pool": "web"})
		made := 0
		for _, id := range s.ofType("AWS::EC2::SecurityGroup") {
			if !d.exists(s.resource(id)) {
				continue
			}
			made++
			checkStarterGroup(report, d, id)
		}
		if made != test.groups {
			report("for %s there are %d groups, want %d", test.service, made, test.groups)
		}
		if room := made * 60; room <= test.rules {
			report("the %d rules of %s leave no room in %d groups", test.rules, test.service, made)
		}
		ids := d.eval(get(s.section("Outputs"), "SecurityGroupIds", "Value"))
		if want := map[int]string{1: "<Group1>", 4: "<Group1>,<Group2>,<Group3>,<Group4>"}[made]; ids != want {
			report("for %s the output is %v, want %s", test.service, ids, want)
		}
	}
	for _, port := range []string{"0", "65536", "443 80", "none", "https,", ""} {
		if s.accepts("Port", port) {
			report("the parameter Port takes %q", port)
		}
	}
	for _, port := range []string{"1", "80", "443", "8443", "65535", "http", "https"} {
		if _, err := secgroup.ParsePorts(port); err != nil || !s.accepts("Port", port) {
			report("the parameter Port does not take %q, or the function does not: %v", port, err)
		}
	}
}

func checkStarterGroup(report func(string, ...any), d *deployment, id string) {
	if d.property(id, "SecurityGroupIngress") != nil {
		report("%s has inbound rules in the template, so that those of the function would be drift", id)
	}
	tags := map[string]string{}
	for _, tag := range d.property(id, "Tags").([]any) {
		tags[get(tag, "Key").(string)] = get(tag, "Value").(string)
	}
	settings, err := secgroup.ParseSettings("cloudfront-ingress", tags)
	if err != nil || settings.Pool != "web" || len(settings.Ports) != 1 || settings.Ports[0].String() != "8443" || settings.Exclusive {
		report("the function understands the tags %v of %s as %+v: %v", tags, id, settings, err)
	}
	if egress, ok := d.property(id, "SecurityGroupEgress").([]any); !ok || len(egress) == 0 {
		report("%s lets everything out", id)
	}
}
