package secgroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// A Step is one call to EC2 about one holder. About a security group it adds rules, removes some, or describes some; a
// prefix list adds and removes entries in one call.
type Step struct {
	Kind     Kind
	HolderID string
	Add      []Rule
	Remove   []Rule
	Describe []Rule         // rules that stay, with the description that is true now
	Gap      []netip.Prefix // wanted ranges that this step closes until the next opens them again; empty without a gap
	Reopens  bool           // ends a gap: it must follow the step before it immediately
}

// String says what the step does: "authorize 3 rules in sg-…".
func (s Step) String() string {
	return s.say([]string{"authorize", "revoke", "redescribe", "add", "remove"})
}

// Done says what the step has done: "authorized 3 rules in sg-…".
func (s Step) Done() string {
	return s.say([]string{"authorized", "revoked", "redescribed", "added", "removed"})
}

func (s Step) say(verbs []string) string {
	if s.Kind == ManagedPrefixList {
		verbs = []string{verbs[3], verbs[4], ""}
	}
	var parts []string
	for i, rules := range [][]Rule{s.Add, s.Remove, s.Describe} {
		if len(rules) > 0 {
			parts = append(parts, verbs[i]+" "+words.Count(len(rules), s.Kind.noun()))
		}
	}
	return strings.Join(parts, ", ") + " in " + s.HolderID
}

// Operation returns "authorize", "revoke" or "redescribe", or for a prefix list "modify".
func (s Step) Operation() string {
	switch {
	case s.Kind == ManagedPrefixList:
		return "modify"
	case len(s.Add) > 0:
		return "authorize"
	case len(s.Remove) > 0:
		return "revoke"
	}
	return "redescribe"
}

// Rules returns all rules that the step is about.
func (s Step) Rules() []Rule { return slices.Concat(s.Add, s.Remove, s.Describe) }

// Inverse returns the step that takes this one back, and so ends its gap.
func (s Step) Inverse() Step {
	return Step{Kind: s.Kind, HolderID: s.HolderID, Add: s.Remove, Remove: s.Add, Reopens: true}
}

// Equal reports whether both steps do the same.
func (s Step) Equal(o Step) bool {
	return s.HolderID == o.HolderID && slices.Equal(s.Add, o.Add) && slices.Equal(s.Remove, o.Remove) &&
		slices.Equal(s.Describe, o.Describe) && slices.Equal(s.Gap, o.Gap)
}

// Apply takes one step, by one call. A prefix list changes only if it is at the given version; Apply waits until the
// change is made, and returns the version that it made.
//
// If Apply fails, EC2 has changed nothing, or an answer was lost on the way. If [IsConflict] holds for the error, a new
// plan may succeed. A call that has begun goes on when the context is canceled, as nobody would know whether it took
// effect; only the wait for a prefix list ends.
func Apply(ctx context.Context, api API, step Step, version int64) (int64, error) {
	wait, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	} else {
		ctx = context.WithoutCancel(ctx)
	}
	defer cancel()
	if step.Kind == ManagedPrefixList {
		return modify(ctx, wait, api, step, version)
	}
	var err error
	var action string
	group := aws.String(step.HolderID)
	switch {
	case len(step.Add) > 0:
		action = "AuthorizeSecurityGroupIngress"
		_, err = api.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group, IpPermissions: Permissions(step.Add)})
	case len(step.Remove) > 0:
		// In a default VPC EC2 ignores a rule that is not there, elsewhere it answers InvalidPermission.NotFound. See
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
		action = "RevokeSecurityGroupIngress"
		_, err = api.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group, IpPermissions: Permissions(step.Remove)})
	default:
		action = "UpdateSecurityGroupRuleDescriptionsIngress"
		_, err = api.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: group, IpPermissions: Permissions(step.Describe)})
	}
	return 0, explain(err, step, action)
}

func explain(err error, step Step, action string) error {
	if err == nil {
		return nil
	}
	return awserr.Explain(fmt.Errorf("%v: %w", step, err), "ec2:"+action)
}

// Permissions returns rules as EC2 takes them: one permission for each protocol and ports, with all their sources. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
func Permissions(rules []Rule) []types.IpPermission {
	index := map[RuleID]int{} // by protocol and ports
	var perms []types.IpPermission
	for _, r := range rules {
		ports := r.RuleID
		ports.Source = Source{}
		i, ok := index[ports]
		if !ok {
			i = len(perms)
			index[ports] = i
			perms = append(perms, types.IpPermission{IpProtocol: aws.String(r.Protocol)})
			if r.From >= 0 || strings.HasPrefix(r.Protocol, "icmp") { // otherwise EC2 shows none, and what is revoked must match
				perms[i].FromPort, perms[i].ToPort = aws.Int32(r.From), aws.Int32(r.To)
			}
		}
		addSource(&perms[i], r)
	}
	return perms
}

func addSource(p *types.IpPermission, r Rule) {
	var description *string
	if r.Description != "" {
		description = aws.String(r.Description)
	}
	switch source := r.Source.String(); {
	case r.Source.Prefix.IsValid() && FamilyOf(r.Source.Prefix) == IPv4:
		p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: aws.String(source), Description: description})
	case r.Source.Prefix.IsValid():
		p.Ipv6Ranges = append(p.Ipv6Ranges, types.Ipv6Range{CidrIpv6: aws.String(source), Description: description})
	case strings.HasPrefix(source, "pl-"):
		p.PrefixListIds = append(p.PrefixListIds, types.PrefixListId{PrefixListId: aws.String(source), Description: description})
	default:
		owner, group, _ := strings.Cut(source, "/")
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, types.UserIdGroupPair{UserId: aws.String(owner), GroupId: aws.String(group), Description: description})
	}
}

// EC2 answers a change of a prefix list before it has made it. These are the first and the longest pause between looks.
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 5 * time.Second
)

// modify takes a step about a prefix list, and waits until the change is made or one of the contexts ends.
func modify(ctx, wait context.Context, api API, step Step, version int64) (int64, error) {
	in := &ec2.ModifyManagedPrefixListInput{PrefixListId: aws.String(step.HolderID), CurrentVersion: aws.Int64(version)}
	for _, r := range step.Add {
		in.AddEntries = append(in.AddEntries, types.AddPrefixListEntry{Cidr: aws.String(r.Source.String()), Description: aws.String(r.Description)})
	}
	for _, r := range step.Remove {
		in.RemoveEntries = append(in.RemoveEntries, types.RemovePrefixListEntry{Cidr: aws.String(r.Source.String())})
	}
	if _, err := api.ModifyManagedPrefixList(ctx, in); err != nil {
		err = explain(err, step, "ModifyManagedPrefixList")
		if awserr.Code(err) == "IncorrectState" { // someone else's change is under way
			if _, failed := settled(wait, api, step.HolderID, 0); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		return version, err
	}
	// The answer tells the version before the change.
	made, err := settled(wait, api, step.HolderID, version)
	if err != nil {
		return version, fmt.Errorf("%v: %w", step, err)
	}
	return made, nil
}

// settled waits until no change of a list is under way, and one past a version is made. It returns the version that the
// list has then. Describes may lag behind changes, so an old version does not mean that the change has failed. See
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func settled(ctx context.Context, api API, id string, past int64) (int64, error) {
	filter := []types.Filter{{Name: aws.String("prefix-list-id"), Values: []string{id}}}
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		lists, err := describeLists(ctx, api, fmt.Sprintf("see whether the change of %s is made", id), filter)
		if err != nil {
			return 0, err
		}
		if len(lists) == 0 {
			return 0, fmt.Errorf("%s is gone", id)
		}
		l := lists[0]
		switch version := aws.ToInt64(l.Version); {
		case strings.HasSuffix(string(l.State), "-failed") && version <= past:
			return 0, fmt.Errorf("EC2 could not make the change of %s (%s): %s", id, l.State, aws.ToString(l.StateMessage))
		case !strings.HasSuffix(string(l.State), "-in-progress") && version > past:
			return version, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("EC2 has not yet said that the change of %s is made (%s); the next run looks again: %w", id, l.State, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// IsConflict reports whether EC2 refused a step because the group or prefix list was not as the plan had it: someone
// else changed it, or an answer was lost and the call made again. Describing and planning again is the way out. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func IsConflict(err error) bool { return conflicts[awserr.Code(err)] }

var conflicts = map[string]bool{
	"InvalidPermission.Duplicate": true, "InvalidPermission.NotFound": true, "RulesPerSecurityGroupLimitExceeded": true,
	"InvalidGroup.NotFound": true, "PrefixListVersionMismatch": true, "IncorrectState": true, "InvalidPrefixListModification": true,
	"PrefixListMaxEntriesExceeded": true, "InvalidPrefixListID.NotFound": true,
}

// IsRefusal reports whether EC2 refused a step for good: it would refuse it again. Throttling, faults of EC2, conflicts
// and lost answers are not refusals. See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func IsRefusal(err error) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && e.ErrorFault() != smithy.FaultServer && !IsConflict(err) && !passing[e.ErrorCode()]
}

// passing are the codes of failures that have nothing to do with the group: calls that came too fast, faults of EC2,
// and unknown or expired credentials.
var passing = map[string]bool{
	"RequestLimitExceeded": true, "Throttling": true, "ThrottlingException": true,
	"InternalError": true, "InternalFailure": true, "ServerInternal": true, "ServiceUnavailable": true, "Unavailable": true,
	"AuthFailure": true, "ExpiredToken": true, "RequestExpired": true, "InvalidClientTokenId": true, "UnrecognizedClientException": true,
}
