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

// An event is what the function is invoked for: a run, or what CloudFormation wants to be made of the stack's custom
// resource.
type event struct {
	run      engine.Request
	resource *resourceRequest // nil for a run
}

// parseEvent reads an event of any of the four kinds: an SNS notification of the topic, a schedule of EventBridge, a
// request of CloudFormation, or a manual invocation.
func parseEvent(payload []byte, topicARN string) (event, error) {
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
	run, err := parseRun(object, topicARN)
	return event{run: run}, err
}

// parseRun returns what an event asks the engine for.
func parseRun(event map[string]jsontext.Value, topicARN string) (engine.Request, error) {
	records, isNotification := event["Records"]
	detailType, isSchedule := event["detail-type"]
	if !isNotification && !isSchedule {
		return parseManual(event)
	}
	// Of the other kinds AWS decides on the members, but an option of a manual event beside them must not be passed
	// over.
	for name := range event {
		for _, option := range manualOptions {
			if strings.EqualFold(name, option) {
				return engine.Request{}, fmt.Errorf("event has %q beside what AWS sends; invoke the function with that alone", name)
			}
		}
	}
	if isNotification {
		return parseNotification(records, topicARN)
	}
	return parseSchedule(detailType)
}

// manualOptions are the members that a manual event may have.
var manualOptions = []string{"dryRun", "force", "groupIds"}

// members returns the members of a JSON object. Unlike encoding/json it tells dryRun from dryrun, and refuses what
// stands there twice.
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

// parseNotification returns the request of an SNS event: of several records the newest counts. See
// https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
func parseNotification(list jsontext.Value, topicARN string) (engine.Request, error) {
	var records []jsontext.Value
	if err := json.Unmarshal(list, &records); err != nil {
		return engine.Request{}, fmt.Errorf("event's Records: %w", err)
	}
	if len(records) == 0 {
		return engine.Request{}, errors.New("event has no record; subscribe the function to the topic " + topicARN)
	}
	var newest iprange.Notice
	for i, record := range records {
		r, err := parseRecord(record)
		switch {
		case err != nil:
			return engine.Request{}, fmt.Errorf("event's record %d: %w", i, err)
		case r.source != "aws:sns":
			return engine.Request{}, fmt.Errorf("event's record %d comes from %q, not from SNS; only SNS notifications have records here", i, r.source)
		case r.topicARN != topicARN:
			return engine.Request{}, fmt.Errorf("event's record %d comes from topic %q, refused; only notifications of TOPIC_ARN=%s count", i, r.topicARN, topicARN)
		case r.message == "":
			return engine.Request{}, fmt.Errorf("event's record %d has no message", i)
		}
		notice, err := iprange.ParseNotice([]byte(r.message))
		if err != nil {
			return engine.Request{}, fmt.Errorf("event's record %d: %w", i, err)
		}
		if notice.Newer(newest) {
			newest = notice
		}
	}
	return engine.Request{Notice: &newest}, nil
}

// A snsRecord is what SNS says in an event.
type snsRecord struct{ source, topicARN, message string }

// parseRecord reads a record, whose members count only as they are spelt: what decides on a message's topic is not to
// be given twice, in two spellings.
func parseRecord(value jsontext.Value) (r snsRecord, err error) {
	top, err := members(value)
	if err != nil {
		return r, err
	}
	if err := text(top["EventSource"], &r.source); err != nil {
		return r, fmt.Errorf("its EventSource: %w", err)
	}
	if len(top["Sns"]) == 0 {
		return r, nil
	}
	sns, err := members(top["Sns"])
	if err != nil {
		return r, fmt.Errorf("its Sns: %w", err)
	}
	if err := text(sns["TopicArn"], &r.topicARN); err != nil {
		return r, fmt.Errorf("its TopicArn: %w", err)
	}
	if err := text(sns["Message"], &r.message); err != nil {
		return r, fmt.Errorf("its Message: %w", err)
	}
	return r, nil
}

// text reads a string, if there is a value.
func text(value jsontext.Value, s *string) error {
	if len(value) == 0 {
		return nil
	}
	return json.Unmarshal(value, s)
}

// parseSchedule returns the request of an EventBridge schedule. It is there to find what went wrong unseen, so it looks
// at the network interfaces too. See
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
func parseSchedule(detailType jsontext.Value) (engine.Request, error) {
	var name string
	if err := json.Unmarshal(detailType, &name); err != nil || name != "Scheduled Event" {
		return engine.Request{}, fmt.Errorf("event's detail-type is %s; of EventBridge only \"Scheduled Event\" is handled", excerpt(detailType))
	}
	return engine.Request{Look: true}, nil
}

var groupIDPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sg-[0-9a-f]+$`) })

// parseManual returns the request of a manual invocation. An unknown member is an error: a mistyped dryrun must not
// apply.
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

// excerpt quotes the beginning of what came in, for an error.
func excerpt(data []byte) string { return words.Quote(string(data), 200) }
