package stack

import (
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"
)

// TestTriggers finds sources of events that do not reach the function, or reach it with what it refuses. TestRehearsal
// plays those that moto has.
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
	for what, values := range map[string]struct{ want, got any }{
		"another topic is subscribed to in": {"eu-west-1", mirrored.property("Announcement", "Region")},
		"announcements may": {
			permission("sns.amazonaws.com", config.DefaultTopicARN), d.property("AnnouncementPermission"),
		},
		"the schedule may": {
			permission("events.amazonaws.com", "<Schedule.Arn>"), d.property("SchedulePermission"),
		},
		"the schedule invokes":               {function, d.property("Schedule", "Targets", "0", "Arn")},
		"the schedule sends":                 {nil, d.property("Schedule", "Targets", "0", "Input")},
		"permissions to invoke the function": {2, len(s.ofType("AWS::Lambda::Permission"))},
		"Events of SAM, in no order":         {nil, s.resource("SyncFunction", "Properties", "Events")},
		// The template says why. A new logical ID would make a green stack without a subscription.
		"subscriptions, by their logical IDs": {[]string{"Announcement"}, s.ofType("AWS::SNS::Subscription")},
		"an event that failed goes to": {
			failed, d.property("SyncFunction", "EventInvokeConfig", "DestinationConfig", "OnFailure", "Destination"),
		},
		"what EventBridge gave up on goes to": {
			failed, d.property("Schedule", "Targets", "0", "DeadLetterConfig", "Arn"),
		},
		"EventBridge may send what it gave up": {
			failed, d.property("FailedEventsPolicy", "PolicyDocument", "Statement", "0", "Resource"),
		},
		"EventBridge may send changes": {
			"<Changes.Arn>", d.property("ChangesPolicy", "PolicyDocument", "Statement", "0", "Resource"),
		},
	} {
		same(t, what, values.want, values.got)
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
	for _, id := range []string{"TagChange", "ApiCall"} {
		same(t, "whole events go to the queue by "+id, map[string]any{
			"Id": "Changes", "Arn": "<Changes.Arn>", "SqsParameters": map[string]any{"MessageGroupId": "changes"},
			"DeadLetterConfig": map[string]any{"Arn": "<FailedEvents.Arn>"},
		}, d.property(id, "Targets", "0"))
		theirs, own := patternOf(forward, id), patternOf(d, id)
		if id == "ApiCall" { // where they are forwarded, no role of the function's is known
			delete(get(own, "detail").(map[string]any), "$or")
		}
		same(t, forwardFile+" forwards by "+id, own, theirs)
	}
	for d, rules := range map[*deployment][]any{
		d: {"<TagChange.Arn>", "<ApiCall.Arn>"}, without: {"<TagChange.Arn>"},
	} {
		for policy, want := range map[string][]any{
			"ChangesPolicy": rules, "FailedEventsPolicy": append([]any{"<Schedule.Arn>"}, rules...),
		} {
			same(t, "senders by "+policy, want, d.property(policy,
				"PolicyDocument", "Statement", "0", "Condition", "ArnEquals", "aws:SourceArn"))
		}
	}
	same(t, "who may forward events", []any{"444455556666"},
		d.property("MembersForward", "Statement", "Principal", "AWS"))
	for _, id := range []string{"ApiCall", "DriftAlarm", "MembersForward"} {
		if !d.exists(s.resource(id)) || without.exists(s.resource(id)) {
			t.Errorf("%s is not made where, and only where, it is asked for", id)
		}
	}
}

// TestOrder finds what is made before, or deleted after, it should: the sync at deployment needs the function with all
// it needs, and whatever else runs the function comes later, so that nothing opens again what a deletion has withdrawn.
func TestOrder(t *testing.T) {
	s := mainTemplate(t)
	needs := map[string]map[string]bool{"SyncFunctionEventInvokeConfig": {"SyncFunction": true}}
	for id, resource := range s.section("Resources") {
		needs[id] = usedIn(resource)
	}
	var after func(id, other string) bool
	after = func(id, other string) bool {
		for need := range needs[id] {
			if need == other || after(need, other) {
				return true
			}
		}
		return false
	}
	orders := map[string][]string{
		"SyncAtDeploy": {
			"SyncFunction", "SyncRole", "SyncLogGroup", "FailedEvents", "AlarmTopic", "SyncFunctionEventInvokeConfig",
		},
		"Announcement": {"SyncAtDeploy", "AnnouncementPermission"},
		"Schedule":     {"SyncAtDeploy"}, "TagChange": {"SyncAtDeploy"}, "ApiCall": {"SyncAtDeploy"},
		"ChangesToFunction": {"SyncAtDeploy"}, "MembersForward": {"SyncAtDeploy"}, "NoSuccessAlarm": {"SyncAtDeploy"},
	}
	for later, all := range orders {
		for _, earlier := range all {
			if !after(later, earlier) {
				t.Errorf("%s is not made after %s", later, earlier)
			}
		}
	}
}

// TestTimesFit finds times that do not fit each other.
func TestTimesFit(t *testing.T) {
	s := mainTemplate(t)
	seconds := func(id string, path ...string) int {
		return number(deploy(s, nil).property(id, path...).(string))
	}
	timeout, invoke := seconds("SyncFunction", "Timeout"), "EventInvokeConfig"
	// Lambda waits a minute before the first retry and two before the second.
	attempts := (seconds("SyncFunction", invoke, "MaximumRetryAttempts")+1)*timeout + 180
	wait, visible := seconds("SyncAtDeploy", "ServiceTimeout"), seconds("Changes", "VisibilityTimeout")
	failed, tried := seconds("FailedEvents", "MessageRetentionPeriod"),
		seconds("SyncFunction", invoke, "MaximumEventAgeInSeconds")
	longest := 0
	for hours := range 1000 {
		if s.accepts("HoursWithoutSuccess", strconv.Itoa(hours)) {
			longest = hours
		}
	}
	period, hours := seconds("NoSuccessAlarm", "Period"), seconds("NoSuccessAlarm", "EvaluationPeriods")
	kept := seconds("Changes", "MessageRetentionPeriod")
	for problem, found := range map[string]bool{
		// Lambda lets new accounts, which have few executions, reserve none:
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
		"executions are reserved by default": deploy(s, nil).property("SyncFunction",
			"ReservedConcurrentExecutions") != nil,
		"CloudFormation waits for too few attempts":         wait < attempts || wait > 3600,
		"failed events are tried for longer than kept":      failed <= tried,
		"a message comes again while its run still goes on": visible < timeout,
		"a change whose run failed gets no other try":       kept < 2*visible,
		// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
		"an alarm looks back for longer than a week": period < 3600 || period*longest > 7*24*3600,
		// The default has to be longer than a day and its usual delay, and shorter than two missed days.
		"the alarm of no success does not fit the schedule": hours != 26 ||
			deploy(s, nil).property("Schedule", "ScheduleExpression") != "rate(1 day)",
	} {
		if found {
			t.Error(problem)
		}
	}
}

// TestRules finds deployments that are refused wrongly, or not refused.
func TestRules(t *testing.T) {
	s := mainTemplate(t)
	const ops, email = "arn:aws:sns:us-east-1:111122223333:ops", "ops@example.com"
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
		{"us-east-1", map[string]string{"AlarmEmail": email}, ""},
		{"us-east-1", map[string]string{"AlarmTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"AlarmEmail": email, "AlarmTopicArn": ops}, "not both"},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms"}, "needs AlarmEmail or AlarmTopicArn"},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms", "AlarmEmail": email}, ""},
		{"us-east-1", map[string]string{"NotifyTopicArn": "alarms", "AlarmTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"NotifyTopicArn": ops}, ""},
		{"us-east-1", map[string]string{"SubnetIds": "subnet-0a,subnet-0b", "SecurityGroupIds": "sg-0a"}, ""},
		{"us-east-1", map[string]string{"SubnetIds": "subnet-0a"}, "or neither"},
		{"us-east-1", map[string]string{"SecurityGroupIds": "sg-0a"}, "or neither"},
		{"us-east-1", map[string]string{"Services": "S3", "Within": "S3"}, "makes no rule fewer"},
	} {
		d := deploy(s, test.parameters)
		d.parameters["AWS::Region"] = test.region
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
