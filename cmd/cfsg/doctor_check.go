package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/approach"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
)

// securityGroups is the step that asks AWS whether all of CloudFront gets in at the origin's addresses.
func (c *doctorCommand) securityGroups(
	ctx context.Context, t terminal, o doctor.Options, known *doctor.Report,
) (step doctor.Step, found *document.Check) {
	if len(known.Addresses) == 0 {
		return doctor.Step{Verdict: doctor.Skipped, Summary: "no address"}, nil
	}
	check := checkCommand{placeFlags: c.placeFlags, Port: []string{strconv.Itoa(int(o.Origin.Port))}}
	check.Region = slices.Clone(check.Region)
	check.Name = doorOf(o.Origin, known.Addresses)
	check.also = func(ctx context.Context, client approach.Client, scene *door.Scene) {
		for _, s := range scene.Subjects {
			if b := scene.BalancerOf(s.Interface); b != nil {
				step.Demands = client.Demands(ctx, b, o.Origin.Port, o.Secrets())
				return
			}
		}
	}
	err := check.Validate()
	in := t.in
	if err == nil && c.ranges != nil {
		var document []byte
		document, err = c.ranges()
		check.IPRanges, in = "-", bytes.NewReader(document)
	}
	if err == nil {
		found, err = check.check(ctx, terminal{in, t.out, io.Discard}) // doctor shows its own progress
	}
	if err != nil {
		step = doctor.Step{Summary: "not looked at"}
		step.Find("groups-unknown", "%v", err)
		if _, ok := errors.AsType[*door.NotFoundError](err); ok {
			step.Findings[0].Advice = "If the origin is a load balancer, name it: cfsg check --load-balancer NAME. If it is in another account or region, say so with --profile or --region."
		}
		return step, nil
	}
	judgeGroups(&step, found)
	return step, found
}

// doorOf names the door of an origin: its load balancer, if its name is that of one, or else its addresses.
func doorOf(o doctor.Origin, addresses []doctor.Address) []string {
	if _, region := door.ParseName(o.Name()); region != "" {
		return []string{o.Name()}
	}
	var all []string
	for _, a := range addresses {
		all = append(all, a.IP.String())
	}
	return all
}

// judgeGroups turns the check into a step of doctor.
func judgeGroups(step *doctor.Step, d *document.Check) {
	services := strings.Join(d.Services, ", ")
	step.Verdict, step.Access = doctor.OK, accessAt(d)
	step.Summary = fmt.Sprintf("all of %s is let in by the security groups", services)
	if d.OnlyWanted() {
		step.Summary += ", and nobody else"
	}
	switch {
	case d.Report.Mark == door.Failed:
		step.Summary = fmt.Sprintf("part of %s is blocked", services)
		step.Find("groups-block", "%s", d.Report.Cause)
	case d.BeyondOriginFacing():
		step.Summary = "all servers that connect to origins today are let in"
		step.Find("groups-origin-facing", "%s", d.Report.Cause)
	case d.Report.Mark == door.Attention && len(d.OpenToWorld) == 0:
		step.Summary = "cannot tell who is let in"
		step.Find("groups-unknown", "%s", d.Report.Cause)
	}
	if len(d.OpenToWorld) > 0 {
		step.Find("groups-open", "everyone else is let in as well, so CloudFront and its WAF can be bypassed: %s", d.OpenToWorld[0])
	}
}

// accessAt says who gets in at each address of the interfaces.
func accessAt(d *document.Check) map[netip.Addr]doctor.Access {
	all := map[netip.Addr]doctor.Access{}
	for _, s := range d.Subjects {
		for _, p := range s.Ports { // one, as one is asked for
			for _, f := range p.Families {
				addresses := s.Interface.PublicIPv4
				if f.Family == "ipv6" {
					addresses = s.Interface.IPv6
				}
				for _, a := range addresses {
					all[a] = accessOf(f)
				}
			}
		}
	}
	return all
}

// accessOf says who gets in over an address family. Everyone is every address, not only so many as count as the world.
func accessOf(f door.FamilyReport) doctor.Access {
	isAll := func(p netip.Prefix) bool { return p.Bits() == 0 }
	letsCloudFrontIn := f.Wanted.Ranges > 0 && (f.Verdict == door.Open || f.BeyondOriginFacing())
	switch {
	case slices.ContainsFunc(f.Others, func(o door.Opening) bool { return slices.ContainsFunc(o.Sources, isAll) }):
		return doctor.Everyone
	case len(f.Unread) > 0:
		return doctor.AccessUnknown
	case letsCloudFrontIn && len(f.Others) == 0:
		return doctor.OnlyCloudFront
	}
	return doctor.SomeOthers
}
