package stack

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"

	"github.com/google/go-cmp/cmp"
)

// checkTriggers finds sources of events that do not reach the function, or reach it with what it refuses.
func checkTriggers(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	d := deploy(s, nil)
	if topic := d.property("Announcement", "TopicArn"); topic != d.variables()["TOPIC_ARN"] || topic != config.DefaultTopicARN {
		report("the function is subscribed to %v and takes notifications of %s", topic, d.variables()["TOPIC_ARN"])
	}
	elsewhere := deploy(s, map[string]string{"TopicArn": "arn:aws:sns:eu-west-1:111122223333:mirror"})
	if region := elsewhere.property("Announcement", "Region"); region != "eu-west-1" {
		report("the subscription to a topic in eu-west-1 is made in %v", region)
	}
	const functionARN = "<SyncFunction.Arn>"
	for _, source := range []struct {
		name, endpoint, permission string
		principal, arn             any
	}{
		{
			"Announcement", d.property("Announcement", "Endpoint").(string), "AnnouncementPermission",
			"sns.amazonaws.com", config.DefaultTopicARN,
		},
		{
			"Schedule", get(d.property("Schedule", "Targets").([]any)[0], "Arn").(string), "SchedulePermission",
			"events.amazonaws.com", "<Schedule.Arn>",
		},
	} {
		if source.endpoint != functionARN {
			report("%s invokes %s", source.name, source.endpoint)
		}
		p := d.property(source.permission)
		if get(p, "Principal") != source.principal || get(p, "SourceArn") != source.arn || get(p, "FunctionName") != functionARN || get(p, "Action") != "lambda:InvokeFunction" {
			report("%s allows something else than %s to invoke the function: %v", source.permission, source.name, p)
		}
	}
	permissions := s.ofType("AWS::Lambda::Permission")
	if len(permissions) != 2 {
		report("the permissions to invoke the function are %v", permissions)
	}
	checkChanges(t, f, report)
	if input := get(d.property("Schedule", "Targets").([]any)[0], "Input"); input != nil {
		report("the schedule sends an input of its own, %v", input)
	}
	silent := deploy(s, map[string]string{"Announcements": "false"})
	for _, id := range []string{"Announcement", "AnnouncementPermission"} {
		if silent.exists(s.resource(id)) || !d.exists(s.resource(id)) {
			report("%s is not made where, and only where, there are announcements", id)
		}
	}
	if s.resource("SyncFunction", "Properties", "Events") != nil {
		report("the function has Events, which SAM does not make depend on SyncAtDeploy")
	}
	for what, queue := range map[string]any{
		"an event that failed":                 d.property("SyncFunction", "EventInvokeConfig", "DestinationConfig", "OnFailure", "Destination"),
		"an event that EventBridge gave up on": get(d.property("Schedule", "Targets").([]any)[0], "DeadLetterConfig", "Arn"),
		"what EventBridge may send":            get(d.property("FailedEventsPolicy", "PolicyDocument", "Statement").([]any)[0], "Resource"),
	} {
		if queue != "<FailedEvents.Arn>" {
			report("%s goes to %v", what, queue)
		}
	}
	if token := d.property("SyncAtDeploy", "ServiceToken"); token != functionARN {
		report("the sync at deployment is done by %v", token)
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

// checkChanges finds events of changed tags and rules that do not reach the function by its queue.
func checkChanges(t *testing.T, f files, report func(string, ...any)) {
	s, forward := f.template(t, mainFile), deploy(f.template(t, forwardFile), map[string]string{"WatchChanges": "true"})
	d, without := withEverything(s), deploy(s, nil)
	const queue = "<Changes.Arn>"
	rules := map[string]bool{"TagChange": true, "ApiCall": false}
	for id, always := range rules {
		target := d.property(id, "Targets").([]any)[0]
		if get(target, "Arn") != queue || get(target, "SqsParameters", "MessageGroupId") == nil || get(target, "InputTransformer") != nil || get(target, "Input") != nil {
			report("%s sends something else than whole events to the queue: %v", id, target)
		}
		if get(target, "DeadLetterConfig", "Arn") != "<FailedEvents.Arn>" {
			report("what %s could not send is lost", id)
		}
		if without.exists(s.resource(id)) != always || without.exists(s.resource("DriftAlarm")) {
			report("%s is made without WatchChanges: %t", id, !always)
		}
		// Where they are forwarded, no role of the function's is known.
		theirs, own := patternOf(forward, id), patternOf(d, id)
		if id == "ApiCall" {
			delete(get(own, "detail").(map[string]any), "$or")
		}
		if diff := cmp.Diff(own, theirs); diff != "" {
			report("%s of %s has another pattern: -hub +forwarded\n%s", id, forwardFile, diff)
		}
	}
	for d, want := range map[*deployment][]string{d: {"<TagChange.Arn>", "<ApiCall.Arn>"}, without: {"<TagChange.Arn>"}} {
		statement := d.property("ChangesPolicy", "PolicyDocument", "Statement").([]any)[0]
		if got := texts(get(statement, "Condition", "ArnEquals", "aws:SourceArn")); !slices.Equal(got, want) || get(statement, "Resource") != queue {
			report("%v may send to the queue %v, want %v", got, get(statement, "Resource"), want)
		}
		statement = d.property("FailedEventsPolicy", "PolicyDocument", "Statement").([]any)[0]
		if got := texts(get(statement, "Condition", "ArnEquals", "aws:SourceArn")); !slices.Equal(got, append([]string{"<Schedule.Arn>"}, want...)) {
			report("%v may send what they could not deliver, want the schedule and %v", got, want)
		}
	}
	mapping := d.property("ChangesToFunction")
	if get(mapping, "EventSourceArn") != queue || get(mapping, "FunctionName") != "<SyncFunction.Arn>" || d.variables()["EVENT_QUEUE_ARN"] != queue {
		report("the function is not given what is in its queue: %v", mapping)
	}
	bus := d.property("MembersForward", "Statement")
	if got := texts(get(bus, "Principal", "AWS")); !slices.Equal(got, []string{"444455556666"}) || without.exists(s.resource("MembersForward")) {
		report("%v may forward events, want the members", got)
	}
}

// checkOrder finds what is made before, or deleted after, it should: the sync at deployment needs the function with all
// it needs, and whatever else runs the function comes later, so that nothing opens again what a deletion has withdrawn.
func checkOrder(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
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
	for _, order := range []struct{ later, earlier string }{
		{"SyncAtDeploy", "SyncFunction"},
		{"SyncAtDeploy", "SyncRole"},
		{"SyncAtDeploy", "SyncLogGroup"},
		{"SyncAtDeploy", "FailedEvents"},
		{"SyncAtDeploy", "AlarmTopic"},
		{"SyncAtDeploy", "SyncFunctionEventInvokeConfig"},
		{"Announcement", "SyncAtDeploy"},
		{"Announcement", "AnnouncementPermission"},
		{"Schedule", "SyncAtDeploy"},
		{"TagChange", "SyncAtDeploy"},
		{"ApiCall", "SyncAtDeploy"},
		{"ChangesToFunction", "SyncAtDeploy"},
		{"MembersForward", "SyncAtDeploy"},
		{"NoSuccessAlarm", "SyncAtDeploy"},
	} {
		if !after(order.later, order.earlier, map[string]bool{}) {
			report("%s is not made after %s", order.later, order.earlier)
		}
	}
}

// checkPatience finds times that do not fit each other.
func checkPatience(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
	number := func(id string, path ...string) int {
		n, ok := s.resource(id, append([]string{"Properties"}, path...)...).(string)
		if !ok {
			t.Fatalf("%s has no number %s", id, strings.Join(path, "."))
		}
		return int(mustNumber(n))
	}
	timeout, retries := number("SyncFunction", "Timeout"), number("SyncFunction", "EventInvokeConfig", "MaximumRetryAttempts")
	// Lambda waits a minute before the first retry and two before the second.
	attempts := (retries+1)*timeout + 180
	if wait := number("SyncAtDeploy", "ServiceTimeout"); wait < attempts || wait > 3600 {
		report("CloudFormation waits %d s for the function, whose attempts may take %d s; at most 3600 s", wait, attempts)
	}
	if kept, tried := number("FailedEvents", "MessageRetentionPeriod"), number("SyncFunction", "EventInvokeConfig", "MaximumEventAgeInSeconds"); kept <= tried {
		report("failed events are kept for %d s, less than the %d s they are tried", kept, tried)
	}
	// A message whose run still goes on must not come again, and one that failed has to have another try.
	if visible, kept := number("Changes", "VisibilityTimeout"), number("Changes", "MessageRetentionPeriod"); visible < timeout || kept < 2*visible {
		report("a change comes again after %d s and is kept for %d s; a run may take %d s", visible, kept, timeout)
	}
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	most := 0
	for hours := range 1000 {
		if s.accepts("HoursWithoutSuccess", strconv.Itoa(hours)) {
			most = hours
		}
	}
	if period := number("NoSuccessAlarm", "Period"); period < 3600 || period*most > 7*24*3600 {
		report("an alarm cannot look back %d periods of %d s", most, period)
	}
	// The default has to be longer than a day and its usual delay, and shorter than two missed days.
	if hours := get(s.section("Parameters"), "HoursWithoutSuccess", "Default"); get(s.section("Parameters"), "ScheduleExpression", "Default") != "rate(1 day)" || hours != "26" {
		report("the alarm of no success after %v hours does not fit the schedule", hours)
	}
}

// Announcement has to keep its logical ID, for the reason that the template gives. Nothing but this test would notice:
// a new ID makes a green stack without a subscription.
func TestAnnouncementKeepsItsLogicalID(t *testing.T) {
	s := readFiles(t).template(t, mainFile)
	if got := s.ofType("AWS::SNS::Subscription"); !slices.Equal(got, []string{"Announcement"}) {
		t.Errorf("the subscriptions are %v: under another logical ID the stack loses it when it is updated", got)
	}
}

// checkRules finds deployments that are refused wrongly, or not refused.
func checkRules(t *testing.T, f files, report func(string, ...any)) {
	s := f.template(t, mainFile)
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
			report("in %s with %v the refusal is %q, want %q", test.region, test.parameters, got, test.refusal)
		}
		for name, value := range test.parameters {
			if !s.accepts(name, value) {
				report("parameter %s refuses %q", name, value)
			}
		}
	}
}
