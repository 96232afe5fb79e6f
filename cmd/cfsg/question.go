package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// A location is one account and region, with clients for it.
type location struct {
	config   config.Config
	settings document.Settings
	cfg      aws.Config
	role     string // empty for the account of the credentials
	ec2      *ec2.Client
	elb      *elb.Client
}

// locate returns the location that flags name. It refuses several: an ID, a name or an address is in one of them.
func (f placeFlags) locate(ctx context.Context, t terminal, who string, flags map[string]given) (*location, error) {
	c, err := f.readConfig(ctx, t, flags)
	if err != nil {
		return nil, err
	}
	if len(c.Regions) > 1 {
		return nil, hint.New(fmt.Sprintf("%s in one region, not in %s", who, strings.Join(c.Regions, ", ")), "name it with --region")
	}
	if accounts := len(engine.Roles(c, "")); accounts > 1 {
		return nil, hint.New(fmt.Sprintf("%s in one account, not in %d", who, accounts), "name its role with --role-arn")
	}
	cfg, err := f.awsConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	role := strings.Join(engine.Roles(c, cfg.Region), "") // there is at most one
	return &location{
		config: c, settings: f.settings(c), cfg: cfg, role: role,
		ec2: engine.NewEC2(cfg, role, c.ExternalID), elb: elb.NewFromConfig(engine.Config(cfg, role, c.ExternalID)),
	}, nil
}

// question reads the ranges of a configuration, and returns them with the question by which groups are judged.
func (f placeFlags) question(ctx context.Context, t terminal, c config.Config, ports []secgroup.PortRange) (ipRanges, door.Question, error) {
	ranges, err := f.read(ctx, t, c)
	if err != nil {
		return ranges, door.Question{}, err
	}
	question, err := questionOf(c, ranges, ports)
	return ranges, question, err
}

const originFacing = iprange.CloudFrontOriginFacing

// questionOf asks whether groups let in the ranges of a configuration, on ports.
func questionOf(config config.Config, ranges ipRanges, ports []secgroup.PortRange) (q door.Question, err error) {
	q = door.Question{Services: config.Selection.Services, Ports: ports, TagKey: config.TagKey, Families: config.Families(), Now: time.Now()}
	of := func(services []string) (*iprange.Publication, error) {
		selection := config.Selection
		selection.Services, selection.Within = services, nil
		return iprange.Decode(bytes.NewReader(ranges.document), selection)
	}
	q.Wanted = ranges.Publication
	if len(config.Selection.Within) > 0 {
		// The services have to get in; the cover is one way to let them in.
		if q.Wanted, err = of(config.Selection.Services); err != nil {
			return q, fmt.Errorf("read the ranges: %w", err)
		}
		if q.Within, err = of(config.Selection.Within); err != nil {
			return q, fmt.Errorf("read the ranges: %w", err)
		}
	}
	if !slices.Contains(config.Selection.Services, iprange.CloudFront) {
		return q, nil
	}
	if noted := ranges.OriginFacing; len(noted) > 0 { // the file is large: it is not read again
		q.OriginFacing = &iprange.Publication{}
		q.OriginFacing.IPv4, q.OriginFacing.IPv6 = ipspace.Split(noted)
		return q, nil
	}
	q.OriginFacing, err = of([]string{originFacing})
	if _, none := errors.AsType[*iprange.MissingServiceError](err); none {
		return q, nil // cannot tell, then
	}
	if err != nil {
		return q, fmt.Errorf("read the ranges of %s: %w", originFacing, err)
	}
	return q, nil
}
