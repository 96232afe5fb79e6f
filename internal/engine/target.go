package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A Target is one account in one region.
type Target struct {
	Account   string // empty for the account the credentials belong to
	Region    string
	EC2       secgroup.API
	Config    aws.Config                            // for clients of other services
	Quota     func(context.Context) (int, error)    // asks for the inbound rules a group may hold
	AccountID func(context.Context) (string, error) // asks for the ID of the account

	knownAccount string
	accountErr   error

	knownQuota int   // the last answer
	quotaErr   error // why there was none
	quotaAsked time.Time
	askedNow   bool // in this run
	mayNotAsk  bool // as Service Quotas said
}

func (t *Target) String() string {
	if t.Account == "" {
		return t.Region
	}
	return "account " + t.Account + " in " + t.Region
}

// Targets returns a target for each region in the account of cfg and in the account of each role. Calls are retried as
// cfg says, or if it does not, with more patience for throttling than the SDK has.
func Targets(cfg aws.Config, regions, roleARNs []string, externalID string) []*Target {
	cfg = Config(cfg, "", "") // all share one HTTP client
	var targets []*Target
	for _, arn := range append([]string{""}, roleARNs...) {
		account := Config(cfg, arn, externalID)
		for _, region := range regions {
			targets = append(targets, newTarget(account, AccountOf(arn), region))
		}
	}
	return targets
}

func newTarget(cfg aws.Config, account, region string) *Target {
	cfg.Region = region
	api := newNarrow(ec2.NewFromConfig(cfg))
	api.authorize, api.revoke, api.redescribe = atPace(api.authorize), atPace(api.revoke), atPace(api.redescribe)
	return &Target{
		Account: account, Region: region, Config: cfg, EC2: api,
		Quota: func(ctx context.Context) (int, error) { return askQuota(ctx, cfg, "L-0EA8095F") },
		AccountID: func(ctx context.Context) (string, error) {
			out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
			if err != nil {
				return "", err
			}
			return aws.ToString(out.Account), nil
		},
	}
}

// account returns the ID of the account, or nothing if STS does not tell it in time: then more is described than needed.
func (t *Target) account(ctx context.Context) string {
	if t.Account != "" {
		return t.Account
	}
	if t.knownAccount == "" && t.accountErr == nil && t.AccountID != nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		t.knownAccount, t.accountErr = t.AccountID(ctx)
	}
	return t.knownAccount
}

// own returns the groups that belong to the account itself. Groups that others share with it cannot be changed from
// here; they are returned apart.
func (t *Target) own(ctx context.Context, groups []secgroup.Group) (own, shared []secgroup.Group, err error) {
	account := t.account(ctx)
	if account == "" && slices.ContainsFunc(groups, func(g secgroup.Group) bool { return g.Owner != groups[0].Owner }) {
		return nil, nil, fmt.Errorf("some tagged security groups belong to another account; look up this account's ID: %w", t.accountErr)
	}
	for _, g := range groups {
		if account == "" || g.Owner == "" || g.Owner == account {
			own = append(own, g)
		} else {
			shared = append(shared, g)
		}
	}
	return own, shared, nil
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

// AccountOf returns the account ID in arn:PARTITION:iam::ACCOUNT:role/NAME. It is empty for no role.
func AccountOf(roleARN string) string {
	if roleARN == "" {
		return ""
	}
	return strings.Split(roleARN, ":")[4]
}

// DefaultRulesPerGroup is the quota of an account that has not raised it. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const DefaultRulesPerGroup = 60

// GroupsPerInterface asks Service Quotas for the security groups that a network interface may have.
func GroupsPerInterface(ctx context.Context, cfg aws.Config) (int, error) {
	return askQuota(ctx, cfg, "L-2AFB9258")
}

func askQuota(ctx context.Context, cfg aws.Config, quotaCode string) (int, error) {
	in := &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("vpc"), QuotaCode: &quotaCode}
	out, err := servicequotas.NewFromConfig(cfg).GetServiceQuota(ctx, in)
	if err != nil {
		return 0, err
	}
	if out.Quota == nil || aws.ToFloat64(out.Quota.Value) < 1 || *out.Quota.Value > math.MaxInt32 {
		return 0, fmt.Errorf("no value for %s from Service Quotas", quotaCode)
	}
	return int(*out.Quota.Value), nil
}

// learnQuota asks Service Quotas where it never answered, a day after it did, or where a pool is too small, as the quota
// may have been raised since; in a run only once. It fails if there was no answer now.
func (t *Target) learnQuota(ctx context.Context, plan *secgroup.Plan) error {
	short := slices.ContainsFunc(plan.Pools, func(pool secgroup.PoolPlan) bool {
		_, ok := errors.AsType[*secgroup.ShortageError](pool.Err)
		return ok
	})
	if t.askedNow || t.knownQuota > 0 && time.Since(t.quotaAsked) < 24*time.Hour && (t.mayNotAsk || !short) {
		return nil
	}
	quota, err := t.Quota(ctx)
	if t.mayNotAsk = awserr.IsDenied(err); t.mayNotAsk {
		quota = DefaultRulesPerGroup
	}
	t.askedNow, t.quotaAsked, t.knownQuota, t.quotaErr = true, time.Now(), quota, err
	return err
}

// quota returns the rules per group to reckon with, as far as it is known.
func (t *Target) quota(configured int) int {
	return cmp.Or(configured, t.knownQuota, DefaultRulesPerGroup)
}
