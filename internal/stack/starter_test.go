package stack

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/secgroup"
)

// TestStarterGroups finds starter groups that are not a pool as the function understands it, that are too few, or
// whose inbound rules CloudFormation would mind.
func TestStarterGroups(t *testing.T) {
	s := readTemplate(t, starterFile)
	for service, want := range map[string][]string{
		"CLOUDFRONT":               {"<Group1>", "<Group2>", "<Group3>", "<Group4>"}, // 180 IPv4 rules, and room to change
		"CLOUDFRONT_ORIGIN_FACING": {"<Group1>"},                                     // 45 rules
	} {
		d := deploy(s, map[string]string{"VpcId": "vpc-1", "Service": service, "Port": "8443", "Pool": "web"})
		var made []string
		for _, id := range s.ofType("AWS::EC2::SecurityGroup") {
			if d.exists(s.resource(id)) {
				made = append(made, "<"+id+">")
				checkStarterGroup(t, d, id)
			}
		}
		slices.Sort(made)
		same(t, "the groups for "+service, want, made)
		same(t, "their output", strings.Join(want, ","), d.eval(get(s.section("Outputs"), "SecurityGroupIds", "Value")))
	}
	for _, port := range []string{"0", "65536", "443 80", "none", "https,", ""} {
		if s.accepts("Port", port) {
			t.Errorf("the parameter Port takes %q", port)
		}
	}
	for _, port := range []string{"1", "80", "443", "8443", "65535", "http", "https"} {
		if _, err := secgroup.ParsePorts(port); err != nil || !s.accepts("Port", port) {
			t.Errorf("the parameter Port does not take %q, or the function does not: %v", port, err)
		}
	}
}

func checkStarterGroup(t *testing.T, d *deployment, id string) {
	if d.property(id, "SecurityGroupIngress") != nil {
		t.Errorf("%s has inbound rules in the template, so that those of the function would be drift", id)
	}
	tags := map[string]string{}
	for _, tag := range d.property(id, "Tags").([]any) {
		tags[get(tag, "Key").(string)] = get(tag, "Value").(string)
	}
	settings, err := secgroup.ParseSettings("cloudfront-ingress", tags)
	if err != nil || settings.Pool != "web" || fmt.Sprint(settings.Ports) != "[8443]" || settings.Exclusive {
		t.Errorf("the function understands the tags %v of %s as %+v: %v", tags, id, settings, err)
	}
	if egress, ok := d.property(id, "SecurityGroupEgress").([]any); !ok || len(egress) == 0 {
		t.Errorf("%s lets everything out", id)
	}
}
