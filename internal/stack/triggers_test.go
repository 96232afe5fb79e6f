package stack

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"

	"github.com/google/go-cmp/cmp"
)

// at returns a value within a property of a resource, where a number leads into a list.
func (d *deployment) at(id string, path ...any) any {
	value := d.property(id)
	for _, step := range path {
		if i, ok := step.(int); ok {
			value = value.([]any)[i]
		} else {
			value = get(value, step.(string))
		}
	}
	return value
}

// TestTriggers finds sources of events that do not reach the function, or reach it with what it refuses.
func TestTriggers(t *testing.T) {
	s := mainTemplate(t)
	d, silent := deploy(s, nil), deploy(s, map[string]string{"Announcements": "false"})
	mirrored := deploy(s, map[string]string{"TopicArn": "arn:aws:sns:eu-west-1:111122223333:mirror"})
	const function, failed = "<SyncFunction.Arn>", "<FailedEvents.Arn>"
	permission := func(principal, source string) any {
		return map[string]any{
			"Action": "lambda:InvokeFunction", "FunctionName": function,
			"Principal": principal, "SourceArn": source,
		}
	}
	for what, got := range map[string]struct{ got, want any }{
		"the function takes notifications of": {d.variables()["TOPIC_ARN"], config.DefaultTopicARN},
		"the function is subscribed to":       {d.at("Announcement", "TopicArn"), config.DefaultTopicARN},
		"another topic is subscribed to in":   {mirrored.at("Announcement", "Region"), "eu-west-1"},
		"announcements go to":                 {d.at("Announcement", "Endpoint"), function},
		"announcements may": {
			d.at("AnnouncementPermission"),
			permission("sns.amazonaws.com", config.DefaultTopicARN),
		},
		"the schedule invokes": {d.at("Schedule", "Targets", 0, "Arn"), function},
		"the schedule may": {
			d.at("SchedulePermission"),
			permission("events.amazonaws.com", "<Schedule.Arn>"),
		},
		"the schedule sends":                 {d.at("Schedule", "Targets", 0, "Input"), nil},
		"permissions to invoke the function": {len(s.ofType("AWS::Lambda::Permission")), 2},
		"Events of SAM, in no order":         {s.resource("SyncFunction", "Properties", "Events"), nil},
		"the sync at deployment is done by":  {d.at("SyncAtDeploy", "ServiceToken"), function},
		// The template says why. A new logical ID would make a green stack without a subscription.
		"subscriptions, by their logical IDs": {s.ofType("AWS::SNS::Subscription"), []string{"Announcement"}},
		"an event that failed goes to": {d.at("SyncFunction", "EventInvokeConfig", "DestinationConfig",
			"OnFailure", "Destination"), failed},
		"what EventBridge gave up on goes to": {d.at("Schedule", "Targets", 0, "DeadLetterConfig", "Arn"), failed},
		"EventBridge may send what it gave up": {d.at("FailedEventsPolicy", "PolicyDocument",
			"Statement", 0, "Resource"), failed},
	} {
		if !cmp.Equal(got.got, got.want) {
			t.Errorf("%s %v, want %v", what, got.got, got.want)
		}
	}
	for _, id := range []string{"Announcement", "AnnouncementPermission"} {
		if silent.exists(s.resource(id)) || !d.exists(s.resource(id)) {
			t.Errorf("%s is not made where, and only where, there are announcements", id)
		}
	}
}

// patternOf returns the pattern of a rule, as JSON has it.
func patternOf(d *deployment, id string) any {
	pattern := d.property(id, "EventPattern")
	walk(pattern, func(v any) {
		if object, ok := v.(map[string]any); ok && object["exists"] == "false" {
			object["exists"] = false
		}
	})
	return pattern
}

// TestChanges finds events of changed tags and rules that do not reach the function by its queue.
func TestChanges(t *testing.T) {
	s, forward := mainTemplate(t), deploy(readTemplate(t, forwardFile), map[string]string{"WatchChanges": "true"})
	d, without := withEverything(s), deploy(s, nil)
	const queue = "<Changes.Arn>"
	rules := map[string]bool{"TagChange": true, "ApiCall": false}
	for id, always := range rules {
		target := d.property(id, "Targets").([]any)[0]
		if get(target, "Arn") != queue || get(target, "SqsParameters", "MessageGroupId") == nil ||
			get(target, "InputTransformer") != nil || get(target, "Input") != nil {
			t.Errorf("%s sends something else than whole events to the queue: %v", id, target)
		}
		if get(target, "DeadLetterConfig", "Arn") != "<FailedEvents.Arn>" {
			t.Errorf("what %s could not send is lost", id)
		}
		if without.exists(s.resource(id)) != always || without.exists(s.resource("DriftAlarm")) {
			t.Errorf("%s is made without WatchChanges: %t", id, !always)
		}
		// Where they are forwarded, no role of the function's is known.
		theirs, own := patternOf(forward, id), patternOf(d, id)
		if id == "ApiCall" {
			delete(get(own, "detail").(map[string]any), "$or")
		}
		if diff := cmp.Diff(own, theirs); diff != "" {
			t.Errorf("%s of %s has another pattern: -hub +forwarded\n%s", id, forwardFile, diff)
		}
	}
	for d, want := range map[*deployment][]any{d: {"<TagChange.Arn>", "<ApiCall.Arn>"}, without: {"<TagChange.Arn>"}} {
		for policy, want := range map[string][]any{"ChangesPolicy": want, "FailedEventsPolicy": append([]any{"<Schedule.Arn>"}, want...)} {
			statement := d.at(policy, "PolicyDocument", "Statement", 0)
			if got := get(statement, "Condition", "ArnEquals", "aws:SourceArn"); !cmp.Equal(got, any(want)) {
				t.Errorf("by %s %v may send, want %v", policy, got, want)
			}
		}
	}
	mapping := d.property("ChangesToFunction")
	if get(mapping, "EventSourceArn") != queue || get(mapping, "FunctionName") != "<SyncFunction.Arn>" ||
		d.variables()["EVENT_QUEUE_ARN"] != queue ||
		d.at("ChangesPolicy", "PolicyDocument", "Statement", 0, "Resource") != queue {
		t.Errorf("the function is not given what is in its queue: %v", mapping)
	}
	bus := d.property("MembersForward", "Statement")
	if got := texts(get(bus, "Principal", "AWS")); !slices.Equal(got, []string{"444455556666"}) ||
		without.exists(s.resource("MembersForward")) {
		t.Errorf("%v may forward events, want the members", got)
	}
}

// TestOrder finds what is made before, or deleted after, it should: the sync at deployment needs the function with all
// it needs, and whatever else runs the function comes later, so that nothing opens again what a deletion has withdrawn.
func TestOrder(t *testing.T) {
	s := mainTemplate(t)
	needs := map[string]map[string]bool{"SyncFunctionEventInvokeConfig": usedIn(s.resource("SyncFunction")).attributes}
	needs["SyncFunctionEventInvokeConfig"]["SyncFunction"] = true
	for id, resource := range s.section("Resources") {
		u := usedIn(resource)
		for ref := range u.refs {
			u.attributes[ref] = true
		}
		needs[id] = u.attributes
	}
	var after func(id, other string, seen map[string]bool) bool
	after = func(id, other string, seen map[string]bool) bool {
		if seen[id] {
			return false
		}
		seen[id] = true
		for need := range needs[id] {
			if need == other || after(need, other, seen) {
				return true
			}
		}
		return false
	}
	orders := map[string][]string{
		"SyncAtDeploy": {
			"SyncFunction", "SyncRole", "SyncLogGroup", "FailedEvents", "AlarmTopic",
			"SyncFunctionEventInvokeConfig",
		},
		"Announcement": {"SyncAtDeploy", "AnnouncementPermission"},
	}
	for _, id := range []string{"Schedule", "TagChange", "ApiCall", "ChangesToFunction", "MembersForward", "NoSuccessAlarm"} {
		orders[id] = []string{"SyncAtDeploy"}
	}
	for later, all := range orders {
		for _, earlier := range all {
			if !after(later, earlier, map[string]bool{}) {
				t.Errorf("%s is not made after %s", later, earlier)
			}
		}
	}
}

// TestTimesFit finds times that do not fit each other.
func TestTimesFit(t *testing.T) {
	s := mainTemplate(t)
	seconds := func(id string, path ...string) int {
		n, ok := s.resource(id, append([]string{"Properties"}, path...)...).(string)
		if !ok {
			t.Fatalf("%s has no number %s", id, strings.Join(path, "."))
		}
		return number(n)
	}
	timeout, retries := seconds("SyncFunction", "Timeout"),
		seconds("SyncFunction", "EventInvokeConfig", "MaximumRetryAttempts")
	// Lambda lets new accounts, which have few executions, reserve none:
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
	if reserved := deploy(s, nil).property("SyncFunction", "ReservedConcurrentExecutions"); reserved != nil {
		t.Errorf("by default %v executions are reserved", reserved)
	}
	// Lambda waits a minute before the first retry and two before the second.
	attempts := (retries+1)*timeout + 180
	if wait := seconds("SyncAtDeploy", "ServiceTimeout"); wait < attempts || wait > 3600 {
		t.Errorf("CloudFormation waits %d s for the function, whose attempts may take %d s; at most 3600 s", wait,
			attempts)
	}
	if kept, tried := seconds("FailedEvents", "MessageRetentionPeriod"), seconds("SyncFunction", "EventInvokeConfig", "MaximumEventAgeInSeconds"); kept <= tried {
		t.Errorf("failed events are kept for %d s, less than the %d s they are tried", kept, tried)
	}
	// A message whose run still goes on must not come again, and one that failed has to have another try.
	if visible, kept := seconds("Changes", "VisibilityTimeout"), seconds("Changes", "MessageRetentionPeriod"); visible < timeout || kept < 2*visible {
		t.Errorf("a change comes again after %d s and is kept for %d s; a run may take %d s", visible, kept, timeout)
	}
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	most := 0
	for hours := range 1000 {
		if s.accepts("HoursWithoutSuccess", strconv.Itoa(hours)) {
			most = hours
		}
	}
	if period := seconds("NoSuccessAlarm", "Period"); period < 3600 || period*most > 7*24*3600 {
		t.Errorf("an alarm cannot look back %d periods of %d s", most, period)
	}
	// The default has to be longer than a day and its usual delay, and shorter than two missed days.
	if hours := get(s.section("Parameters"), "HoursWithoutSuccess", "Default"); get(s.section("Parameters"), "ScheduleExpression", "Default") != "rate(1 day)" || hours != "26" {
		t.Errorf("the alarm of no success after %v hours does not fit the schedule", hours)
	}
}

// TestRules finds deployments that are refused wrongly, or not refused.
func TestRules(t *testing.T) {
	s := mainTemplate(t)
	const ops = "arn:aws:sns:us-east-1:111122223333:ops"
	for _, test := range []struct {
		region     string
		parameters map[string]string
		refusal    string
	}{
		{"us-east-1", nil, ""},
		{"eu-central-1", nil, ""},
		{"eu-south-1", nil, "set Announcements=false"},
		{"cn-north-1", nil, "set Announcements=false"},
		{"us-gov-west-1", nil, "set Announcements=false"},
		{"cn-north-1", map[string]string{"Announcements": "false"}, ""},
		{"us-gov-west-1", map[string]string{"TopicArn": "arn:aws-us-gov:sns:us-gov-west-1:111122223333:mirror"}, ""},
		{"us-east-1", map[string]string{"AlarmEmail": "ops@example.com"}, ""},
		{"us-east-1", map[string]string{"AlarmTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"AlarmEmail": "ops@example.com", "AlarmTopicArn": ops}, "not both"},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms"}, "needs AlarmEmail or AlarmTopicArn"},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms", "AlarmEmail": "ops@example.com"}, ""},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms", "AlarmTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"NotifyTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"SubnetIds": "subnet-0a,subnet-0b", "SecurityGroupIds": "sg-0a"}, ""},
		{"us-east-1", map[string]string{"SubnetIds": "subnet-0a"}, "or neither"},
		{"us-east-1", map[string]string{"SecurityGroupIds": "sg-0a"}, "or neither"},
	} {
		d := deploy(s, test.parameters)
		d.region = test.region
		if got := d.refusal(); (got == "") != (test.refusal == "") || !strings.Contains(got, test.refusal) {
			t.Errorf("in %s with %v the refusal is %q, want %q", test.region, test.parameters, got, test.refusal)
		}
		for name, value := range test.parameters {
			if !s.accepts(name, value) {
				t.Errorf("parameter %s refuses %q", name, value)
			}
		}
	}
}
