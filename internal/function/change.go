package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-json-experiment/json/jsontext"
)

// parseBus reads an event of EventBridge. Only changes come through the queue, never the schedule.
func parseBus(object map[string]jsontext.Value, from sources, queued bool) (event, error) {
	var source, kind string
	if err := errors.Join(text(object["source"], &source), text(object["detail-type"], &kind)); err != nil {
		return event{}, fmt.Errorf("event's source or detail-type is not a string: %w", err)
	}
	// A scheduled run finds problems that no event reported, so it looks at the network interfaces too.
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
	if kind == "Scheduled Event" && (source == "aws.events" || source == "aws.scheduler") && !queued {
		return event{run: engine.Request{Look: true}}, nil
	}
	isTag, isCall := kind == "Tag Change on Resource" && source == "aws.tag", kind == "AWS API Call via CloudTrail" && source == "aws.ec2"
	if !isTag && !isCall {
		return event{}, fmt.Errorf("event has the detail-type %s and the source %s; scheduled events, changes of tags and calls of EC2 are handled",
			excerpt([]byte(kind)), excerpt([]byte(source)))
	}
	var d detail
	if err := json.Unmarshal(object["detail"], &d); err != nil {
		return event{}, fmt.Errorf("event's detail: %w", err)
	}
	if isCall {
		return d.call(from), nil
	}
	return d.tagChange(from), nil
}

// A detail is that of an event of EventBridge: for changed tags the keys, and for a call of EC2 CloudTrail's record. See
// https://docs.aws.amazon.com/tag-editor/latest/userguide/tag-monitor.html and
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type detail struct {
	Keys         []string `json:"changed-tag-keys"`
	EventName    string   `json:"eventName"`
	ErrorCode    string   `json:"errorCode"`
	UserIdentity struct {
		SessionContext struct {
			SessionIssuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
}

// tagChange returns the event of changed tags.
func (d detail) tagChange(from sources) event {
	if !slices.ContainsFunc(d.Keys, func(key string) bool {
		suffix, ok := strings.CutPrefix(key, from.tagKey)
		return ok && slices.Contains([]string{"", "-pool", "-mode", "-public"}, suffix)
	}) {
		return event{ignored: "none of the changed tags is " + from.tagKey + " or goes with it"}
	}
	return event{}
}

// call returns the event of a call.
func (d detail) call(from sources) event {
	issuer := d.UserIdentity.SessionContext.SessionIssuer.ARN // a user has none
	switch {
	case !slices.Contains([]string{
		"AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", "ModifySecurityGroupRules", "ModifyManagedPrefixList", "RestoreManagedPrefixListVersion",
	}, d.EventName):
		return event{ignored: "the call " + excerpt([]byte(d.EventName)) + " changes no inbound rule and no entry"}
	case d.ErrorCode != "":
		return event{ignored: "the call failed, so it changed nothing"}
	case issuer != "" && from.isOwn(issuer):
		return event{ignored: "it is a change of the function itself"}
	}
	return event{drift: true}
}

// parseMessages reads the queue's records, all for one run. See
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func parseMessages(records []map[string]jsontext.Value, from sources) (event, error) {
	all := event{queued: true}
	wanted := false
	for i, record := range records {
		var queueARN, body string
		if err := errors.Join(text(record["eventSourceARN"], &queueARN), text(record["body"], &body)); err != nil {
			return event{}, fmt.Errorf("event's record %d: %w", i, err)
		}
		if queueARN == "" || queueARN != from.queueARN {
			return event{}, fmt.Errorf("event's record %d comes from queue %s, refused; only records of EVENT_QUEUE_ARN=%s count", i, excerpt([]byte(queueARN)), from.queueARN)
		}
		object, err := members([]byte(body))
		if err != nil {
			return event{}, fmt.Errorf("event's record %d: its body is not an event: %w", i, err)
		}
		one, err := parseBus(object, from, true)
		if err != nil {
			return event{}, fmt.Errorf("event's record %d: %w", i, err)
		}
		all.drift, all.ignored, wanted = all.drift || one.drift, one.ignored, wanted || one.ignored == ""
	}
	if wanted {
		all.ignored = ""
	}
	return all, nil
}

// ownRole returns a function that reports whether a role is the function's own, or one that it assumes in another
// account. If STS does not answer, its own role is unknown; at worst a run then finds nothing to do.
func ownRole(c config.Config, cfg aws.Config) func(roleARN string) bool {
	var own []string // arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, cut at slashes and colons
	cut := func(arn string) []string {
		return strings.FieldsFunc(arn, func(r rune) bool { return r == ':' || r == '/' })
	}
	return func(roleARN string) bool {
		if own == nil {
			if out, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), nil); err == nil {
				own = cut(aws.ToString(out.Arn))
			}
		}
		role := cut(roleARN) // arn:aws:iam::ACCOUNT:role/PATH/NAME; FieldsFunc leaves out the empty region
		isMember := slices.ContainsFunc(c.MemberAccounts, func(account string) bool {
			return strings.HasSuffix(roleARN, ":"+account+":role/"+c.MemberRoleName)
		})
		return isMember || slices.Contains(c.RoleARNs, roleARN) ||
			len(own) == 7 && len(role) > 5 && role[3] == own[3] && role[len(role)-1] == own[5]
	}
}

// mayPass reports whether a retry may succeed: after throttling, a network failure, a stale copy of the file, a
// deadline.
func mayPass(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // one that may pass is enough
		return slices.ContainsFunc(joined.Unwrap(), mayPass)
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, iprange.ErrStale) || errors.Is(err, iprange.ErrCorrupt) ||
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}
