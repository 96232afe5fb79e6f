package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// A Target is one account in one region.
type Target struct {
	Account string // empty for the account the credentials belong to
	Region  string
	EC2     secgroup.API
	// Config is what clients for other services need to reach the account in the region.
	Config aws.Config
	// Quota asks for the inbound rules a group may hold.
	Quota func(context.Context) (int, error)

	// AccountID asks for the ID of the account; it is asked only where groups of different owners are seen.
	AccountID func(context.Context) (string, error)

	knownQuota int // the last answer
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

// Targets returns a target for each region in the account of cfg and in the account of each role. The roles are assumed
// with the external ID, if there is one. Calls are retried as cfg says, or if it does not, with more patience for
// throttling than the SDK has.
func Targets(cfg aws.Config, regions, roleARNs []string, externalID string) []*Target {
	cfg = hardened(cfg)
	var targets []*Target
	for _, region := range regions {
		targets = append(targets, newTarget(cfg, "", region))
	}
	for _, arn := range roleARNs {
		role := assuming(cfg, arn, externalID)
		for _, region := range regions {
			targets = append(targets, newTarget(role, AccountOf(arn), region))
		}
	}
	return targets
}

// NewEC2 returns a client for EC2 that retries as that of a target does. It acts in the account of the role, or without
// one in that of cfg.
func NewEC2(cfg aws.Config, roleARN, externalID string) *ec2.Client {
	return ec2.NewFromConfig(Config(cfg, roleARN, externalID))
}

// Config returns what a client for any service needs to retry as that of a target does, in the account of the role or
// without one in that of cfg.
func Config(cfg aws.Config, roleARN, externalID string) aws.Config {
	cfg = hardened(cfg)
	if roleARN != "" {
		cfg = assuming(cfg, roleARN, externalID)
	}
	return cfg
}

// hardened returns cfg with retries and an HTTP client that calls can rely on.
func hardened(cfg aws.Config) aws.Config {
	if cfg.Retryer == nil {
		cfg.Retryer = newRetryer
	}
	cfg.HTTPClient = newHTTPClient(cfg.HTTPClient)
	return cfg
}

// assuming returns cfg with the credentials of a role. The external ID is for roles that ask for one in their trust
// policies, and empty for others.
func assuming(cfg aws.Config, roleARN, externalID string) aws.Config {
	role := cfg.Copy()
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "cloudfront-sg-sync"
		if externalID != "" {
			o.ExternalID = &externalID
		}
	})
	role.Credentials = aws.NewCredentialsCache(roleProvider{provider, roleARN})
	return role
}

func newTarget(cfg aws.Config, account, region string) *Target {
	cfg.Region = region
	t := &Target{Account: account, Region: region, Config: cfg, EC2: newPaced(Narrow(ec2.NewFromConfig(cfg)))}
	t.Quota = func(ctx context.Context) (int, error) { return askQuota(ctx, cfg, quotaCode) }
	t.AccountID = func(ctx context.Context) (string, error) { return askAccount(ctx, cfg) }
	return t
}

func askAccount(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("find out whose groups these are, as some are shared by another account: %w", err)
	}
	return aws.ToString(out.Account), nil
}

// own returns the groups that belong to the account itself. Groups that others share with it cannot be changed from
// here; they are returned apart.
func (t *Target) own(ctx context.Context, groups []secgroup.Group) (own, shared []secgroup.Group, err error) {
	if !slices.ContainsFunc(groups, func(g secgroup.Group) bool { return g.Owner != groups[0].Owner }) {
		return groups, nil, nil
	}
	account := t.Account
	if account == "" {
		if account, err = t.AccountID(ctx); err != nil {
			return nil, nil, err
		}
	}
	for _, g := range groups {
		if g.Owner == account {
			own = append(own, g)
		} else {
			shared = append(shared, g)
		}
	}
	return own, shared, nil
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

// quotaCode is "Inbound or outbound rules per security group" of the service vpc.
const quotaCode = "L-0EA8095F"

// GroupsPerInterface asks Service Quotas for the security groups that a network interface may have.
func GroupsPerInterface(ctx context.Context, cfg aws.Config) (int, error) {
	return askQuota(ctx, cfg, "L-2AFB9258")
}

func askQuota(ctx context.Context, cfg aws.Config, quotaCode string) (int, error) {
	out, err := servicequotas.NewFromConfig(cfg).GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{
		ServiceCode: aws.String("vpc"),
		QuotaCode:   aws.String(quotaCode),
	})
	if err != nil {
		return 0, err
	}
	if out.Quota == nil || out.Quota.Value == nil || *out.Quota.Value < 1 || *out.Quota.Value > math.MaxInt32 {
		return 0, fmt.Errorf("no value for %s from Service Quotas", quotaCode)
	}
	return int(*out.Quota.Value), nil
}

// plan plans the target. Service Quotas is asked only if there is something to do, and EC2 for network interfaces only
// if something is to be revoked, or the report is to tell what they lack.
func (t *Target) plan(ctx context.Context, log *slog.Logger, groups []secgroup.Group, req secgroup.Request, look bool) (*secgroup.Plan, error) {
	configured := req.RulesPerGroup
	req.RulesPerGroup = t.quota(configured)
	plan, err := secgroup.NewPlan(ctx, groups, req)
	if err != nil {
		return nil, err
	}
	if configured == 0 && !idle(plan) && t.quotaIsOld(plan) {
		quota, err := t.learnQuota(ctx)
		if err != nil {
			log.WarnContext(ctx, "the quota of rules per security group is not known, using the default; grant servicequotas:GetServiceQuota or set RULES_PER_GROUP",
				"target", t.String(), "rulesPerGroup", DefaultRulesPerGroup, "error", err)
		}
		if quota != req.RulesPerGroup {
			req.RulesPerGroup = quota
			if plan, err = secgroup.NewPlan(ctx, groups, req); err != nil {
				return nil, err
			}
		}
	}
	ids := attachedTo(plan, look)
	if len(ids) == 0 || req.Withdraw {
		return plan, nil
	}
	if req.Attachments, err = secgroup.DescribeAttachments(ctx, t.EC2, ids); err != nil {
		return nil, err
	}
	for i := range req.Attachments.Interfaces {
		req.Attachments.Interfaces[i].Region = t.Region
	}
	return secgroup.NewPlan(ctx, groups, req)
}

// attachedTo returns the IDs of all groups if any pool revokes something, or if asked for. All pools are planned again
// with what is seen of the interfaces, and may revoke more then: a group that was not looked at would count as attached
// nowhere.
func attachedTo(plan *secgroup.Plan, asked bool) []string {
	var ids []string
	revokes := asked
	for _, pool := range plan.Pools {
		revokes = revokes || slices.ContainsFunc(pool.Steps, func(s secgroup.Step) bool { return s.Op == secgroup.Revoke })
		for _, g := range pool.Groups {
			ids = append(ids, g.Group.ID)
		}
	}
	if !revokes {
		return nil
	}
	return ids
}

// quotaLasts is how long an answer of Service Quotas is believed without a reason for doubt.
const quotaLasts = 24 * time.Hour

// quotaIsOld reports whether the quota is to be asked for: where it never was, a day ago, or where a pool is too small,
// as it may have been raised since.
func (t *Target) quotaIsOld(plan *secgroup.Plan) bool {
	if t.knownQuota == 0 || time.Since(t.quotaAsked) > quotaLasts {
		t.knownQuota = 0
		return true
	}
	short := slices.ContainsFunc(plan.Pools, func(pool secgroup.PoolPlan) bool {
		_, ok := errors.AsType[*secgroup.ShortageError](pool.Err)
		return ok
	})
	if short && !t.askedNow && !t.mayNotAsk {
		t.knownQuota = 0
		return true
	}
	return false
}

// forgetQuota forgets the quota if a refusal says that it is another one.
func (t *Target) forgetQuota(err error) {
	if secgroup.IsOverQuota(err) {
		t.knownQuota = 0
	}
}

// learnQuota asks Service Quotas, unless it has been asked. With an error it returns the default, for this time only if
// the error may pass.
func (t *Target) learnQuota(ctx context.Context) (int, error) {
	if t.knownQuota > 0 {
		return t.knownQuota, nil
	}
	quota, err := t.Quota(ctx)
	t.askedNow = true
	if err != nil {
		denied, ok := errors.AsType[smithy.APIError](err)
		if t.mayNotAsk = ok && strings.HasPrefix(denied.ErrorCode(), "AccessDenied"); t.mayNotAsk {
			t.knownQuota, t.quotaAsked = DefaultRulesPerGroup, time.Now()
		}
		return DefaultRulesPerGroup, err
	}
	t.knownQuota, t.quotaAsked, t.mayNotAsk = quota, time.Now(), false
	return quota, nil
}

// quota returns the rules per group to reckon with, as far as it is known.
func (t *Target) quota(configured int) int {
	return cmp.Or(configured, t.knownQuota, DefaultRulesPerGroup)
}

// idle reports whether a plan has nothing to do that a quota could stand against.
func idle(plan *secgroup.Plan) bool {
	for _, pool := range plan.Pools {
		if len(pool.Steps) > 0 || pool.Err != nil {
			return false
		}
	}
	return true
}
