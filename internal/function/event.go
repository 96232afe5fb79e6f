package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-json-experiment/json/jsontext"
)

// An event asks for a run, or is a request of CloudFormation for the stack's custom resource.
type event struct {
	run      engine.Request
	resource *resourceRequest // nil for a run
	ignored  string           // the reason to do nothing
	queued   bool             // it came through the queue
	drift    bool             // somebody else changed rules or entries
}

// sources are the accepted origins of events, and the tag key that matters.
type sources struct {
	topicARN, queueARN string
	tagKey             string
	isOwn              func(roleARN string) bool
}

// parseEvent reads an event of SNS, of EventBridge, directly or through the queue, of CloudFormation, or a manual one.
func parseEvent(payload []byte, from sources) (event, error) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return event{}, errors.New("event is empty; send {} for a resync")
	}
	object, err := members(payload)
	if err != nil {
		quoted := excerpt(payload)
		if bytes.Contains(payload, []byte("ResponseURL")) {
			quoted = "with a ResponseURL" // which is a credential
		}
		return event{}, fmt.Errorf("event %s is not a JSON object: %w; send {} for a resync", quoted, err)
	}
	if _, ok := object["RequestType"]; ok {
		resource, err := parseResourceRequest(object)
		return event{resource: resource}, err // nil where it cannot be answered
	}
	return parseRun(object, from)
}

// parseRun reads an event that asks for a run.
func parseRun(object map[string]jsontext.Value, from sources) (event, error) {
	records, hasRecords := object["Records"]
	_, isBus := object["detail-type"]
	if !hasRecords && !isBus {
		run, err := parseManual(object)
		return event{run: run}, err
	}
	// AWS may add members to other kinds of events, but an option of a manual event beside them must not be ignored.
	for name := range object {
		for _, option := range manualOptions {
			if strings.EqualFold(name, option) {
				return event{}, fmt.Errorf("event has %q beside members that AWS sends; send only that", name)
			}
		}
	}
	if hasRecords {
		return parseRecords(records, from)
	}
	return parseBus(object, from, false)
}

// manualOptions are the members that a manual event may have.
var manualOptions = []string{"dryRun", "force", "groupIds"}

// members returns the members of a JSON object. Unlike encoding/json it distinguishes dryRun from dryrun, and refuses
// duplicates.
func members(payload []byte) (object map[string]jsontext.Value, err error) {
	dec := jsontext.NewDecoder(bytes.NewReader(payload))
	if kind := dec.PeekKind(); kind != '{' && kind != 0 {
		return nil, fmt.Errorf("it starts with %v", kind)
	}
	value, err := dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, &object); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more data follows the object")
	}
	return object, nil
}

// parseRecords reads records that are all of SNS or all of SQS. Their members count only in the exact spelling, so that
// no message names its source twice.
func parseRecords(list jsontext.Value, from sources) (event, error) {
	var values []jsontext.Value
	if err := json.Unmarshal(list, &values); err != nil {
		return event{}, fmt.Errorf("event's Records: %w", err)
	}
	if len(values) == 0 {
		return event{}, errors.New("event has no record; subscribe the function to the topic " + from.topicARN)
	}
	var records []map[string]jsontext.Value
	var first string
	for i, value := range values {
		record, err := members(value)
		var sns, sqs string
		if err == nil {
			err = errors.Join(text(record["EventSource"], &sns), text(record["eventSource"], &sqs))
		}
		source := sns + sqs
		switch {
		case err != nil:
			return event{}, fmt.Errorf("event's record %d: %w", i, err)
		case sns != "aws:sns" && sqs != "aws:sqs" || sns != "" && sqs != "":
			return event{}, fmt.Errorf("event's record %d comes from %q, not from SNS or SQS", i, source)
		case i > 0 && source != first:
			return event{}, fmt.Errorf("event's record %d comes from %q, those before it from %q; only records of one source count", i, source, first)
		}
		records, first = append(records, record), source
	}
	if first == "aws:sqs" {
		return parseMessages(records, from)
	}
	return parseNotification(records, from.topicARN)
}

// parseNotification reads the records of SNS; the newest counts. See
// https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
func parseNotification(records []map[string]jsontext.Value, topicARN string) (event, error) {
	var newest iprange.Notice
	for i, record := range records {
		topic, message, err := parseSNS(record["Sns"])
		switch {
		case err != nil:
			return event{}, fmt.Errorf("event's record %d: %w", i, err)
		case topic != topicARN:
			return event{}, fmt.Errorf("event's record %d comes from topic %q, refused; only notifications of TOPIC_ARN=%s count", i, topic, topicARN)
		case message == "":
			return event{}, fmt.Errorf("event's record %d has no message", i)
		}
		notice, err := iprange.ParseNotice([]byte(message))
		if err != nil {
			return event{}, fmt.Errorf("event's record %d: %w", i, err)
		}
		if notice.Newer(newest) {
			newest = notice
		}
	}
	return event{run: engine.Request{Notice: &newest}}, nil
}

// parseSNS reads the topic and the message of a record.
func parseSNS(value jsontext.Value) (topic, message string, err error) {
	if len(value) == 0 {
		return "", "", nil
	}
	sns, err := members(value)
	if err != nil {
		return "", "", fmt.Errorf("its Sns: %w", err)
	}
	if err := text(sns["TopicArn"], &topic); err != nil {
		return "", "", fmt.Errorf("its TopicArn: %w", err)
	}
	if err := text(sns["Message"], &message); err != nil {
		return "", "", fmt.Errorf("its Message: %w", err)
	}
	return topic, message, nil
}

// text reads a string, if there is a value.
func text(value jsontext.Value, s *string) error {
	if len(value) == 0 {
		return nil
	}
	return json.Unmarshal(value, s)
}

// parseManual returns the request of a manual invocation. An unknown member is an error, so that a mistyped dryrun
// changes nothing.
func parseManual(event map[string]jsontext.Value) (engine.Request, error) {
	var req engine.Request
	fields := map[string]any{"dryRun": &req.DryRun, "force": &req.Force, "groupIds": &req.GroupIDs}
	for name, value := range event {
		field, ok := fields[name]
		if !ok {
			return engine.Request{}, fmt.Errorf("event has an unknown field %q; a manual event is {} or holds any of \"dryRun\", \"force\", \"groupIds\"", name)
		}
		if err := json.Unmarshal(value, field); err != nil || value.Kind() == 'n' {
			return engine.Request{}, fmt.Errorf("event's %s cannot be %s; write {\"dryRun\":true,\"force\":true,\"groupIds\":[\"sg-…\"]} or part of it", name, excerpt(value))
		}
	}
	if _, ok := event["groupIds"]; ok && len(req.GroupIDs) == 0 {
		return engine.Request{}, hint.New("event's groupIds is empty", "name a group, or leave groupIds out for all")
	}
	for _, id := range req.GroupIDs {
		if digits, ok := strings.CutPrefix(id, "sg-"); !ok || digits == "" || strings.Trim(digits, "0123456789abcdef") != "" {
			return engine.Request{}, fmt.Errorf("event's groupIds: %q is not the ID of a security group, such as sg-0123456789abcdef0", id)
		}
	}
	return req, nil
}

// excerpt quotes the beginning of untrusted data, for an error.
func excerpt(data []byte) string { return words.Quote(string(data), 200) }

// parseBus reads an event of EventBridge. Only changes come through the queue, never the schedule.
func parseBus(object map[string]jsontext.Value, from sources, queued bool) (event, error) {
	var source, kind string
	if err := errors.Join(text(object["source"], &source), text(object["detail-type"], &kind)); err != nil {
		return event{}, fmt.Errorf("event's source or detail-type is not a string: %w", err)
	}
	// A scheduled run finds problems that no event reported, so it reads the network interfaces too.
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
	if !slices.ContainsFunc(d.Keys, func(key string) bool {
		suffix, ok := strings.CutPrefix(key, from.tagKey)
		return ok && slices.Contains([]string{"", "-pool", "-mode", "-public"}, suffix)
	}) {
		return event{ignored: "none of the changed tags is " + from.tagKey + " or goes with it"}, nil
	}
	return event{}, nil
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
