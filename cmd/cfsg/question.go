package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// onePlace refuses several regions and accounts: an ID, a name or an address is in one of them.
func onePlace(who string, c config.Config) error {
	if len(c.Regions) > 1 {
		return hint.New(fmt.Sprintf("%s in one region, not in %s", who, strings.Join(c.Regions, ", ")), "name it with --region")
	}
	if accounts := len(engine.Roles(c, "")); accounts > 1 {
		return hint.New(fmt.Sprintf("%s in one account, not in %d", who, accounts), "name its role with --role-arn")
	}
	return nil
}

const originFacing = iprange.CloudFrontOriginFacing

// questionOf returns what groups are judged by: whether they let in the ranges of a configuration, on ports.
func questionOf(config config.Config, ranges ipRanges, ports []secgroup.PortRange) (q door.Question, err error) {
	q = door.Question{Services: config.Selection.Services, Ports: ports, TagKey: config.TagKey, Families: config.Families()}
	of := func(services []string) (*iprange.Publication, error) {
		selection := config.Selection
		selection.Services, selection.Within = services, nil
		return iprange.Decode(bytes.NewReader(ranges.document), selection)
	}
	q.Wanted = ranges.Publication
	if len(config.Selection.Within) > 0 {
		// What has to get in are the services; the cover is one way to let them in.
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
	q.OriginFacing, err = of([]string{originFacing})
	if _, none := errors.AsType[*iprange.MissingServiceError](err); none {
		return q, nil // nobody knows, then
	}
	if err != nil {
		return q, fmt.Errorf("read the ranges of %s: %w", originFacing, err)
	}
	return q, nil
}
