package function

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/google/go-cmp/cmp"
)

const (
	oldSum = "0123456789abcdef0123456789abcdef"
	newSum = "63431d35877fa5386ded1a7df9cfa971"

	queueARN = "arn:aws:sqs:us-east-1:111122223333:changes.fifo"
)

var (
	oldMessage = announcement("1787411424", oldSum)
	newMessage = announcement("1787411825", newSum)
	scheduled  = encode(object{"detail-type": "Scheduled Event", "source": "aws.events", "detail": object{}})
)

// accepted are the origins of the tests' events.
var accepted = sources{
	topicARN: config.DefaultTopicARN, queueARN: queueARN, tagKey: "cloudfront-ingress",
	isOwn: func(role string) bool { return role == "arn:aws:iam::111122223333:role/sync" },
}

// object is a JSON object.
type object = map[string]any

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// announcement returns the message by which AWS announces a file.
func announcement(token, md5 string) string {
	return encode(object{"synctoken": token, "md5": md5, "url": "https://ip-ranges.amazonaws.com/ip-ranges.json"})
}

// tagged returns the event of changed tags.
func tagged(keys ...string) string {
	detail := object{"service": "ec2", "resource-type": "security-group", "changed-tag-keys": keys}
	return encode(object{"detail-type": "Tag Change on Resource", "source": "aws.tag", "detail": detail})
}

// called returns the event of a call of EC2, by a role or, without one, by a user.
func called(name, errorCode, role string) string {
	return encode(object{"detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "detail": object{
		"eventSource": "ec2.amazonaws.com", "eventName": name, "errorCode": errorCode,
		"userIdentity": object{"sessionContext": object{"sessionIssuer": object{"arn": role}}},
	}})
}

// queued returns the event of a queue with a record for each body.
func queued(queue string, bodies ...string) string {
	var records []object
	for _, body := range bodies {
		records = append(records, object{"eventSource": "aws:sqs", "eventSourceARN": queue, "body": body})
	}
	return encode(object{"Records": records})
}

// notified returns the event of a topic with a record for each message.
func notified(topic string, messages ...string) string {
	var records []object
	for _, m := range messages {
		records = append(records, object{"EventSource": "aws:sns", "Sns": object{"TopicArn": topic, "Message": m}})
	}
	return encode(object{"Records": records})
}

func notification(messages ...string) string { return notified(config.DefaultTopicARN, messages...) }

// An event asks for a run as AWS or a person means it; of several notifications the newest counts. Changes start a run
// unless they are none of ours; one such in a batch is enough.
func TestParseEvent(t *testing.T) {
	const authorize, role = "AuthorizeSecurityGroupIngress", "arn:aws:iam::111122223333:role/"
	asks := func(run engine.Request) event { return event{run: run} }
	ignored := func(reason string) event { return event{ignored: reason} }
	older := asks(engine.Request{Notice: &iprange.Notice{SyncToken: "1787411424", MD5: oldSum}})
	newer := asks(engine.Request{Notice: &iprange.Notice{SyncToken: "1787411825", MD5: newSum}})
	look, drift, fromQueue := asks(engine.Request{Look: true}), event{drift: true}, event{queued: true}
	ours, foreign := tagged("Name", "cloudfront-ingress-pool"), tagged("Name", "cloudfront-ingress-pools")
	byOps, byItself := called(authorize, "", role+"ops"), called(authorize, "", role+"sync")
	type test struct {
		name, payload string
		want          event // of what is ignored, a part of the reason
	}
	tests := []test{
		{"notification", notification(oldMessage), older},
		{"MD5 in capitals", notification(announcement("1787411424", strings.ToUpper(oldSum))), older},
		{"newest record last", notification(oldMessage, newMessage), newer},
		{"newest record in the middle", notification(oldMessage, newMessage, oldMessage, oldMessage), newer},
		{"sync tokens compare as numbers", notification(announcement("999999999", oldSum), newMessage), newer},
		{"the message's url", notification(strings.ReplaceAll(newMessage, "ip-ranges.amazonaws.com", "evil.example")), newer},

		{"schedule of the Scheduler", strings.Replace(scheduled, "aws.events", "aws.scheduler", 1), look},
		{"manual in white space", " \n{ \t}\r\n", event{}},
		{
			"all options", `{"dryRun":true,"force":true,"groupIds":["sg-1a2b3c4d","sg-2"]}`,
			asks(engine.Request{DryRun: true, Force: true, GroupIDs: []string{"sg-1a2b3c4d", "sg-2"}}),
		},

		{"tag", tagged("cloudfront-ingress"), event{}},
		{"tag of a pool", ours, event{}},
		{"tag of the mode", tagged("cloudfront-ingress-mode"), event{}},
		{"tag of public ports", tagged("cloudfront-ingress-public"), event{}},
		{"foreign tag", foreign, ignored("none of the changed tags")},
		{"no tag", tagged(), ignored("none of the changed tags")},
		{"call by a role", byOps, drift},
		{"call by a user", called(authorize, "", ""), drift},
		{"call of its own", byItself, ignored("of the function itself")},
		{"call that failed", called(authorize, "Client.UnauthorizedOperation", role), ignored("failed")},
		{"call that does not count", called("RevokeSecurityGroupEgress", "", role), ignored("RevokeSecurityGroupEgress")},
		{"call on a list", called("RestoreManagedPrefixListVersion", "", role), drift},
		{"batch", queued(queueARN, ours, byOps, foreign), event{queued: true, drift: true}},
		{"batch with one of ours in front", queued(queueARN, ours, foreign), fromQueue},
		{"batch of none", queued(queueARN, foreign, byItself), event{queued: true, ignored: "of the function itself"}},
	}
	samplesAsk := map[string]event{
		"sns.json": newer, "schedule.json": look, "manual.json": {},
		"manual-dry-run.json": asks(engine.Request{DryRun: true}), "manual-force.json": asks(engine.Request{Force: true}),
		"manual-groups.json": asks(engine.Request{DryRun: true, GroupIDs: []string{"sg-0123456789abcdef0"}}),
		"tag-change.json":    {}, "api-call.json": drift, "queue.json": fromQueue,
	}
	for name, payload := range samples(t) {
		want, ok := samplesAsk[name]
		if strings.HasPrefix(name, "custom-resource-") {
			checkSampleRequest(t, name, payload)
		} else if tests = append(tests, test{name, string(payload), want}); !ok {
			t.Errorf("no test knows the sample %s", name)
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseEvent([]byte(test.payload), accepted)
			if err != nil {
				t.Fatal(err)
			}
			if test.want.ignored != "" && strings.Contains(got.ignored, test.want.ignored) {
				test.want.ignored = got.ignored
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(event{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// checkSampleRequest checks that a sample event of CloudFormation can be answered, and is what its name says.
func checkSampleRequest(t *testing.T, name string, payload []byte) {
	t.Helper()
	event, err := parseEvent(payload, accepted)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r := event.resource
	if r.err != nil || newResponder(false).check(r.responseURL) != nil ||
		name != "custom-resource-"+strings.ToLower(r.kind)+".json" || r.kind == "Delete" && !r.wasMade() {
		t.Errorf("%s: request %+v", name, r)
	}
}

// refusedEvents are events that are refused, and a part of the error.
func refusedEvents() [][2]string {
	long := strings.Repeat("x", 1<<17)
	tag, both := tagged("cloudfront-ingress"), notified("x", newMessage)
	sns := func(value string) string { return `{"Records":[{"EventSource":"aws:sns","Sns":` + value + `}]}` }
	// joined puts the records of another event behind those of one.
	joined := func(a, b string) string {
		return strings.TrimSuffix(a, "]}") + "," + strings.TrimPrefix(b, `{"Records":[`)
	}
	without := func(name string) string { return request(object{name: nil}) }
	return [][2]string{
		{"", "event is empty; send {} for a resync"},
		{"null", "not a JSON object"},
		{`"{}"`, "not a JSON object"},
		{`[{}]`, "not a JSON object"},
		{"dryRun", "not a JSON object"},
		{`{"dryRun":true`, "not a JSON object"},
		{`{"dryRun":true,}`, "not a JSON object"},
		{"{\"dryRun\":true,\"\xff\":1}", "invalid UTF-8"},
		{`{"dryRun":true}{}`, "more data follows"},
		{`{"dryRun":true} force`, "more data follows"},
		{`{"dryRun":true,"dryRun":false}`, "duplicate"},
		{`{"Records":[{"Sns":{"Message":"a","Message":"b"}}]}`, "duplicate"},

		{`{"dryrun":true}`, `unknown field "dryrun"`},
		{`{"dryRun":true,"groupIdſ":["sg-1"]}`, `unknown field "groupIdſ"`}, // a letter that folds to s
		{`{"version":"2.0","body":"{}"}`, "unknown field"},                  // of a function URL
		{`{"help":true}`, `{} or holds any of "dryRun", "force", "groupIds"`},
		{`{"dryRun":null}`, "dryRun cannot be"},
		{`{"dryRun":1}`, "dryRun cannot be"},
		{`{"dryRun":"true"}`, "dryRun cannot be"},
		{`{"dryRun":true,"force":0}`, "force cannot be"},
		{`{"groupIds":"sg-1"}`, "groupIds cannot be"},
		{`{"groupIds":[1]}`, "groupIds cannot be"},
		{`{"groupIds":[]}`, "groupIds is empty"},
		{`{"groupIds":["sg-1",null]}`, `"" is not the ID of a security group`},
		{`{"groupIds":["web"]}`, `"web" is not the ID`},
		{`{"groupIds":["sg-*"]}`, `"sg-*" is not the ID`},

		{`{"Records":[]}`, "event has no record"},
		{`{"Records":null}`, "event has no record"},
		{`{"Records":"x"}`, "event's Records: "},
		{`{"Records":[null]}`, "record 0: it starts with null"},
		{`{"Records":[{"EventSource":"aws:sns"}]}`, `record 0 comes from topic ""`},
		{`{"Records":[{"EventSource":"aws:s3","s3":{}}]}`, "not from SNS or SQS"},
		{`{"Records":[{"EventSource":"aws:sns","eventSource":"aws:sqs"}]}`, "not from SNS or SQS"},
		{`{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`, `comes from queue "", refused`},
		{queued(queueARN+"2", tag), "only records of EVENT_QUEUE_ARN=" + queueARN + " count"},
		{joined(queued(queueARN, tag), both), "only records of one source count"},
		{joined(both, queued(queueARN, tag)), "only records of one source count"},
		{queued(queueARN, "{}x"), "record 0: its body is not an event"},
		{queued(queueARN, notification(newMessage)), "record 0: event has the detail-type"},
		{queued(queueARN, scheduled), "record 0: event has the detail-type"},
		{queued(queueARN, `{"force":true}`), "record 0: event has the detail-type"},
		{sns("null"), "record 0: its Sns: it starts with null"},
		{sns("[]"), "record 0: its Sns: it starts with ["},
		{sns(`{"TopicArn":1}`), "record 0: its TopicArn: "},
		{sns(`{"Message":{}}`), "record 0: its Message: "},
		{strings.Replace(notification(newMessage), `"Sns":{`, `"Sns":{"TopicArn":"mine",`, 1), "duplicate"},
		{strings.Replace(notification(newMessage), `"TopicArn"`, `"topicarn"`, 1), `topic ""`},
		{
			notified(config.DefaultTopicARN+"2", newMessage),
			`topic "` + config.DefaultTopicARN + `2", refused; only notifications of TOPIC_ARN=` + config.DefaultTopicARN,
		},
		{notified("arn:aws:sns:us-east-1:111122223333:AmazonIpSpaceChanged", newMessage), "refused"},
		{joined(notification(newMessage), both), `record 1 comes from topic "x"`},
		{notification(newMessage, ""), "record 1 has no message"},
		{notification("You have chosen to subscribe"), "record 0: read notification"},
		{notification(newMessage, "{}"), "record 1: read notification"},

		{`{"detail-type":null}`, "detail-type"},
		{`{"detail-type":1}`, "detail-type"},
		{`{"detail-type":"Scheduled Event","source":1}`, "source"},
		{`{"detail-type":"Scheduled Event"}`, "scheduled events, changes of tags and calls of EC2 are handled"},
		{`{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2"}`, "scheduled events, changes of tags"},
		{strings.Replace(tag, "aws.tag", "acme", 1), `the source "acme"`},
		{strings.Replace(called("AuthorizeSecurityGroupIngress", "", ""), "aws.ec2", "aws.s3", 1), `the source "aws.s3"`},
		{`{"detail-type":"Tag Change on Resource","source":"aws.tag"}`, "detail"},
		{`{"detail-type":"Tag Change on Resource","source":"aws.tag","detail":[]}`, "detail"},
		{strings.Replace(tag, "{", `{"force":true,`, 1), "beside members that AWS sends"},
		{`{"dryRun":true,"Records":[]}`, "beside members that AWS sends"},
		{`{"detail-type":"Scheduled Event","dryrun":true}`, "beside members that AWS sends"},

		// Requests of CloudFormation that cannot be answered.
		{without("ResponseURL"), "no ResponseURL"},
		{request(object{"ResponseURL": ""}), "no ResponseURL"},
		{request(object{"ResponseURL": []string{responseURL}}), "no ResponseURL"},
		{request(object{"ResponseURL": "https://\x7f" + signature}), "no URL"},
		{request(object{"ResponseURL": "https://example.com/?" + signature}), "is refused"},
		{request(object{"ResponseURL": "http://x.s3.amazonaws.com/?" + signature}), "is refused"},
		{strings.Replace(request(nil), `"Create"`, "null", 1), "no RequestType"},
		{without("StackId"), "no StackId"},
		{request(object{"RequestId": 7}), "no RequestId"},
		{request(object{"LogicalResourceId": ""}), "no LogicalResourceId"},
		{request(object{"PhysicalResourceId": ""}), "no PhysicalResourceId"},
		{request(object{"StackId": strings.Repeat("x", 513)}), "513 bytes"},
		{request(nil)[:300], "not a JSON object"},
		{strings.Replace(request(nil), "{", `{"ResponseURL":"`+responseURL+`",`, 1), "duplicate"},
		{request(nil) + "{}", "more data follows"},

		// Whatever the size of an event, its error can be read.
		{long, "not a JSON object"},
		{strings.Repeat("\xff", 1<<17), "not a JSON object"},
		{strings.Repeat(`{"a":`, 1<<17), "not a JSON object"},
		{`{"dryRun":"` + long + `"}`, "dryRun cannot be"},
		{`{"` + long + `":1}`, "unknown field"},
		{`{"groupIds":["` + long + `"]}`, "event's groupIds"},
		{`{"detail-type":"` + long + `"}`, "detail-type"},
		{`{"detail-type":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "detail-type"},
		{notification(long), "read notification"},
		{notified(long, newMessage), "comes from topic"},
	}
}

// An event that is refused makes no call. Its error is a short line without the response URL.
func TestParseEventRefused(t *testing.T) {
	sim := ec2sim.New(ec2sim.Options{})
	h, _ := newTestHandler(t, sim, serve(goodDocument))
	h.sources, h.responder = accepted, newResponder(false)
	sim.ResetCalls()
	for _, test := range refusedEvents() {
		_, err := h.Invoke(t.Context(), []byte(test[0]))
		if text := fmt.Sprint(err); err == nil || !strings.HasPrefix(text, "event") || !strings.Contains(text, test[1]) ||
			strings.ContainsAny(text, "\n\r") || len(text) > 1100 || strings.Contains(text, signature) {
			t.Errorf("%.200s\nerror %v, want one with %q", test[0], err, test[1])
		}
	}
	if calls := sim.Calls(); len(calls) > 0 {
		t.Errorf("a refused event calls %s", calls[0].Action)
	}
}

// samples returns the sample events of the project by file name.
func samples(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "events", "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no sample event: %v", err)
	}
	payloads := map[string][]byte{}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		payloads[filepath.Base(file)] = payload
	}
	return payloads
}

// Whatever is accepted is an object, a manual event has known members only, and a request asks for no more and no less
// than they say.
func FuzzParseEvent(f *testing.F) {
	for _, payload := range samples(f) {
		f.Add(payload)
	}
	for _, seed := range []string{
		``, `null`, `[]`, `{"dryrun":true}`, `{"dryRun":true,"dryRun":false}`, `{"dryRun":null}`, `{"groupIds":[]}`, `{} {}`,
		tagged("cloudfront-ingress"), called("RevokeSecurityGroupIngress", "", ""),
		queued(queueARN, tagged("a"), called("x", "y", "z")), `{"dry\u0052un":true}`, `{"Records":[null]}`,
		`{"detail-type":"Scheduled Event"}`, notification(oldMessage, newMessage),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		event, err := parseEvent(payload, accepted)
		req := event.run
		if err != nil {
			if diff := cmp.Diff(engine.Request{}, req); diff != "" || event.resource != nil {
				t.Errorf("a request is returned with an error\n%s", diff)
			}
			return
		}
		var members map[string]json.RawMessage // encoding/json reads it independently of parseEvent
		if err := json.Unmarshal(payload, &members); err != nil || members == nil {
			t.Fatalf("accepted, but not an object: %v", err)
		}
		want := engine.Request{}
		switch r := event.resource; {
		case members["RequestType"] != nil:
			if r == nil || r.responseURL == nil || r.answer.StackID == "" || r.id() == "" {
				t.Fatalf("accepted, but it cannot be answered: %+v", r)
			}
		case event.ignored != "" || event.drift || event.queued || strings.Contains(string(members["detail-type"]), "Tag"):
		case members["Records"] != nil:
			if req.Notice == nil || req.Notice.SyncToken == "" || req.Notice.MD5 == "" {
				t.Fatalf("a notification says nothing of the file: %+v", req.Notice)
			}
			want.Notice = req.Notice
		case members["detail-type"] != nil:
			want.Look = true
		default:
			for name := range members {
				if name != "dryRun" && name != "force" && name != "groupIds" {
					t.Errorf("accepted with a member %q", name)
				}
			}
			want.DryRun = string(members["dryRun"]) == "true"
			want.Force = string(members["force"]) == "true"
			_ = json.Unmarshal(members["groupIds"], &want.GroupIDs)
		}
		if diff := cmp.Diff(want, req); diff != "" {
			t.Errorf("-said by the event +asked for\n%s", diff)
		}
	})
}
