package function

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"

	"github.com/go-json-experiment/json/jsontext"
)

// An event asks for a run, or is a request of CloudFormation for the stack's custom resource.
type event struct {
	run      engine.Request
	resource *resourceRequest // nil for a run
	// ignored is the reason to do nothing.
	ignored string
	// queued: the event came through the queue. drift: somebody else changed rules or entries.
	queued, drift bool
}

// sources are the accepted origins of events, and the tag key that matters.
type sources struct {
	topicARN, queueARN string
	tagKey             string
	isOwn              func(roleARN string) bool
}

// parseEvent reads an event of any kind: an SNS notification of the topic, an event of EventBridge, directly or through
// the queue, a request of CloudFormation, or a manual invocation.
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
func members(payload []byte) (map[string]jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(payload))
	if kind := dec.PeekKind(); kind != '{' && kind != 0 {
		return nil, fmt.Errorf("it starts with %v", kind)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	object := map[string]jsontext.Value{}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		object[key] = value.Clone()
	}
	if _, err := dec.ReadToken(); err != nil {
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

var groupIDPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sg-[0-9a-f]+$`) })

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
		if !groupIDPattern().MatchString(id) {
			return engine.Request{}, fmt.Errorf("event's groupIds: %q is not the ID of a security group, such as sg-0123456789abcdef0", id)
		}
	}
	return req, nil
}

// excerpt quotes the beginning of untrusted data, for an error.
func excerpt(data []byte) string { return words.Quote(string(data), 200) }
