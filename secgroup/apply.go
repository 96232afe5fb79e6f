package secgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloudfront-sg-sync/internal/awserr"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Apply takes one step of a plan, by one call. If it fails, EC2 has changed nothing, or an answer was lost on the way;
// the steps after it must not be taken. Where [IsConflict] holds for the error, a new plan may succeed.
func Apply(ctx context.Context, api API, step Step) error {
	var err error
	action, group, rules := "", aws.String(step.GroupID), permissions(step.Rules)
	switch step.Op {
	case Authorize:
		action = "AuthorizeSecurityGroupIngress"
		_, err = api.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group, IpPermissions: rules})
	case Revoke:
		// In a default VPC EC2 ignores a rule that is not there, elsewhere it answers InvalidPermission.NotFound.
		action = "RevokeSecurityGroupIngress"
		_, err = api.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group, IpPermissions: rules})
	case Redescribe:
		action = "UpdateSecurityGroupRuleDescriptionsIngress"
		_, err = api.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{GroupId: group, IpPermissions: rules})
	}
	if err != nil {
		return awserr.Explain(fmt.Errorf("%v: %w", step, err), "ec2:"+action)
	}
	return nil
}

// permissions returns rules as EC2 takes them: one permission for each protocol and ports, with all their sources.
func permissions(rules []Rule) []types.IpPermission {
	type key struct {
		protocol string
		from, to int32
	}
	index := map[key]int{}
	var perms []types.IpPermission
	for _, r := range rules {
		k := key{r.Protocol, r.From, r.To}
		i, ok := index[k]
		if !ok {
			i = len(perms)
			index[k] = i
			perms = append(perms, types.IpPermission{
				IpProtocol: aws.String(r.Protocol),
				FromPort:   aws.Int32(r.From),
				ToPort:     aws.Int32(r.To),
			})
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

// IsConflict reports whether EC2 refused a step or a change because the group or prefix list was not as the plan had
// it: someone else changed it, or an answer was lost and the call made again. Looking again and planning again is the
// way out. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func IsConflict(err error) bool {
	switch awserr.Code(err) {
	case "InvalidPermission.Duplicate", "InvalidPermission.NotFound", "RulesPerSecurityGroupLimitExceeded", "InvalidGroup.NotFound",
		"PrefixListVersionMismatch", "IncorrectState", "InvalidPrefixListModification", "PrefixListMaxEntriesExceeded", "InvalidPrefixListID.NotFound":
		return true
	}
	return false
}

// IsOverQuota reports whether EC2 refused a step because the group already holds as many rules as its quota allows.
func IsOverQuota(err error) bool { return awserr.Code(err) == "RulesPerSecurityGroupLimitExceeded" }

// IsDuplicate reports whether EC2 refused to authorize a rule that exists. The same call may have created it, if its
// answer was lost and it was made again.
func IsDuplicate(err error) bool { return awserr.Code(err) == "InvalidPermission.Duplicate" }

// IsRefusal reports whether EC2 refused a step for good: it would refuse it again. Throttling, faults of EC2, conflicts
// and lost answers are not refusals. See
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func IsRefusal(err error) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && e.ErrorFault() != smithy.FaultServer && !IsConflict(err) && !passing[e.ErrorCode()]
}

// passing are the codes of failures that have nothing to do with the group: calls that came too fast, faults of EC2,
// and credentials that nobody knows or that have expired.
var passing = map[string]bool{
	"RequestLimitExceeded": true, "Throttling": true, "ThrottlingException": true,
	"InternalError": true, "InternalFailure": true, "ServerInternal": true, "ServiceUnavailable": true, "Unavailable": true,
	"AuthFailure": true, "ExpiredToken": true, "RequestExpired": true, "InvalidClientTokenId": true, "UnrecognizedClientException": true,
}
