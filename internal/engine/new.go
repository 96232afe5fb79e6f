package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// New returns the engine that the settings ask for. It takes credentials, region and endpoints from cfg, and the ranges
// from fetch.
func New(c config.Config, cfg aws.Config, fetch FetchFunc, log *slog.Logger) (*Engine, error) {
	regions := c.Regions
	if len(regions) == 0 {
		if cfg.Region == "" {
			return nil, errors.New("configuration: neither REGIONS nor AWS_REGION names a region")
		}
		regions = []string{cfg.Region}
	}
	if cfg.Region == "" {
		cfg.Region = regions[0] // STS needs one
	}
	return &Engine{
		Fetch:            fetch,
		Services:         c.Selection.Services,
		Within:           c.Selection.Within,
		Targets:          Targets(cfg, regions, Roles(c, cfg.Region), c.ExternalID),
		TagKey:           c.TagKey,
		RulesPerGroup:    c.RulesPerGroup,
		MaxRevokePercent: c.MaxRevokePercent,
		Families:         c.Families(),
		Log:              log,
	}, nil
}

// Roles returns the roles to assume, in the partition of a region: those that are named by ARN, and that of each member
// account without one.
func Roles(c config.Config, region string) []string {
	roles := slices.Clone(c.RoleARNs)
	for _, account := range c.MemberAccounts {
		if !slices.ContainsFunc(c.RoleARNs, func(arn string) bool { return AccountOf(arn) == account }) {
			roles = append(roles, fmt.Sprintf("arn:%s:iam::%s:role/%s", partitionOf(region), account, c.MemberRoleName))
		}
	}
	return roles
}

// partitionOf returns the partition of a region, of those that the template supports. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
