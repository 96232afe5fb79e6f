package function

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/iprange"

	"github.com/google/go-cmp/cmp"
)

const (
	md5Old = "0123456789abcdef0123456789abcdef"
	md5New = "63431d35877fa5386ded1a7df9cfa971"

	oldMessage = `{"create-time":"2026-08-22T15:10:24+00:00","synctoken":"1787411424","md5":"` + md5Old + `","url":"https://ip-ranges.amazonaws.com/ip-ranges.json"}`
	newMessage = `{"create-time":"2026-08-22T15:17:05+00:00","synctoken":"1787411825","md5":"` + md5New + `","url":"https://ip-ranges.amazonaws.com/ip-ranges.json"}`

	scheduled = `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"2026-08-23T06:00:00Z","detail":{}}`
)

const queueARN = "arn:aws:sqs:us-east-1:111122223333:changes.fifo"

// accepted is what the events of the tests come from.
var accepted = sources{
	topicARN: config.DefaultTopicARN, queueARN: queueARN, tagKey: "cloudfront-ingress",
	isOwn: func(role string) bool { return role == "arn:aws:iam::111122223333:role/sync" },
}

// tagged returns the event of changed tags, called that of a call of EC2 by a user or, where an issuer is given, by a
// role.
func tagged(keys ...string) string {
	b, _ := json.Marshal(keys)
	return `{"detail-type":"Tag Change on Resource","source":"aws.tag","detail":{"service":"ec2","resource-type":"security-group","changed-tag-keys":` + string(b) + `}}`
}

func called(name, errorCode, issuer string) string {
	return fmt.Sprintf(`{"detail-type":"AWS API Call via CloudTrail","source":"aws.ec2","detail":{"eventSource":"ec2.amazonaws.com","eventName":%q,"errorCode":%q,"userIdentity":{"sessionContext":{"sessionIssuer":{"arn":%q}}}}}`, name, errorCode, issuer)
}

// queued returns the event of a queue with a record for each body.
func queued(queue string, bodies ...string) string {
	var records []string
	for _, body := range bodies {
		records = append(records, fmt.Sprintf(`{"messageId":"1","eventSource":"aws:sqs","eventSourceARN":%q,"body":%s}`, queue, strconv.Quote(body)))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

// Changes start a run, unless they are none of ours; of several in one batch, one that does is enough.
func TestParseChange(t *testing.T) {
	const authorize, byOthers, bySync = "AuthorizeSecurityGroupIngress", "arn:aws:iam::111122223333:role/ops", "arn:aws:iam::111122223333:role/sync"
	ours, foreign, drift := tagged("Name", "cloudfront-ingress-pool"), tagged("Name", "cloudfront-ingress-pools"), called(authorize, "", byOthers)
	for _, test := range []struct {
		name, payload string
		want          event // of what is ignored, a part of the reason
	}{
		{"tag", tagged("cloudfront-ingress"), event{}},
		{"pool", ours, event{}},
		{"mode", tagged("cloudfront-ingress-mode"), event{}},
		{"public", tagged("cloudfront-ingress-public"), event{}},
		{"foreign tag", foreign, event{ignored: "none of the changed tags"}},
		{"no tag", tagged(), event{ignored: "none of the changed tags"}},
		{"call by a role", drift, event{drift: true}},
		{"call by a user", called(authorize, "", ""), event{drift: true}},
		{"call of its own", called(authorize, "", bySync), event{ignored: "of the function itself"}},
		{"call that failed", called(authorize, "Client.UnauthorizedOperation", byOthers), event{ignored: "failed"}},
		{"call that does not count", called("RevokeSecurityGroupEgress", "", byOthers), event{ignored: "RevokeSecurityGroupEgress"}},
		{"call on a list", called("RestoreManagedPrefixListVersion", "", byOthers), event{drift: true}},
		{"sample of a tag", string(samples(t)["tag-change.json"]), event{}},
		{"sample of a call", string(samples(t)["api-call.json"]), event{drift: true}},
		{"sample of the queue", string(samples(t)["queue.json"]), event{queued: true}},
		{"tag by the queue", queued(queueARN, ours), event{queued: true}},
		{"batch", queued(queueARN, ours, drift, foreign), event{queued: true, drift: true}},
		{"batch with one of ours in front", queued(queueARN, ours, foreign), event{queued: true}},
		{"batch with none of ours", queued(queueARN, foreign, called(authorize, "", bySync)), event{queued: true, ignored: "of the function itself"}},
	} {
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

// record returns a record of SNS with a message.
func record(topic, message string) string {
	return fmt.Sprintf(`{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{"Type":"Notification","TopicArn":%s,"Message":%s}}`,
		strconv.Quote(topic), strconv.Quote(message))
}

// notification returns an event with a record of the topic for each message.
func notification(messages ...string) string {
	var records []string
	for _, m := range messages {
		records = append(records, record(config.DefaultTopicARN, m))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

func TestParseEvent(t *testing.T) {
	older := engine.Request{Notice: &iprange.Notice{SyncToken: "1787411424", MD5: md5Old}}
	newer := engine.Request{Notice: &iprange.Notice{SyncToken: "1787411825", MD5: md5New}}
	for _, test := range []struct {
		name, payload string
		want          engine.Request
	}{
		{"notification", notification(oldMessage), older},
		{"notification with MD5 in capitals", notification(strings.ReplaceAll(oldMessage, md5Old, strings.ToUpper(md5Old))), older},
		{"newest record last", notification(oldMessage, newMessage), newer},
		{"newest record in the middle", notification(oldMessage, newMessage, oldMessage, oldMessage), newer},
		{"one record twice", notification(newMessage, newMessage), newer},
		{"sync tokens compare as numbers", notification(strings.ReplaceAll(oldMessage, "1787411424", "999999999"), newMessage), newer},
		{"url of the message counts for nothing", notification(strings.ReplaceAll(newMessage, "https://ip-ranges.amazonaws.com", "http://evil.example")), newer},

		{"schedule", scheduled, engine.Request{Look: true}},
		{"schedule of the Scheduler", strings.Replace(scheduled, "aws.events", "aws.scheduler", 1), engine.Request{Look: true}},

		{"manual", `{}`, engine.Request{}},
		{"manual in white space", " \n{ \t}\r\n", engine.Request{}},
		{"dry run", `{"dryRun":true}`, engine.Request{DryRun: true}},
		{"force", `{"force":true}`, engine.Request{Force: true}},
		{"groups", `{"groupIds":["sg-1a2b3c4d","sg-2"]}`, engine.Request{GroupIDs: []string{"sg-1a2b3c4d", "sg-2"}}},
		{
			"everything", `{"dryRun":true,"force":true,"groupIds":["sg-1"]}`,
			engine.Request{DryRun: true, Force: true, GroupIDs: []string{"sg-1"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseEvent([]byte(test.payload), accepted)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.run); diff != "" || got.resource != nil {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseEventRefused(t *testing.T) {
	for _, test := range []struct{ name, payload, word string }{
		{"empty", "", "event is empty; send {} for a resync"},
		{"null", "null", "not a JSON object"},
		{"a string", `"{}"`, "not a JSON object"},
		{"an array", `[{}]`, "not a JSON object"},
		{"text", "dryRun", "not a JSON object"},
		{"cut after a member", `{"dryRun":true`, "not a JSON object"},
		{"comma at the end", `{"dryRun":true,}`, "not a JSON object"},
		{"not UTF-8", "{\"dryRun\":true,\"\xff\":1}", "invalid UTF-8"},
		{"trailing object", `{"dryRun":true}{}`, "more data follows"},
		{"trailing text", `{"dryRun":true} force`, "more data follows"},
		{"dryRun twice", `{"dryRun":true,"dryRun":false}`, "duplicate"},
		{"a duplicate far below", `{"Records":[{"Sns":{"Message":"a","Message":"b"}}]}`, "duplicate"},

		{"dryrun", `{"dryrun":true}`, `unknown field "dryrun"`},
		{"dryRun with a letter that folds", `{"dryRun":true,"groupIdſ":["sg-1"]}`, `unknown field "groupIdſ"`},
		{"groupIDs", `{"dryRun":true,"groupIDs":["sg-1"]}`, `unknown field "groupIDs"`},
		{"body of a function URL", `{"version":"2.0","body":"{}"}`, "unknown field"},
		{"the help names the fields", `{"help":true}`, `{} or holds any of "dryRun", "force", "groupIds"`},

		{"dryRun null", `{"dryRun":null}`, "dryRun cannot be"},
		{"dryRun a number", `{"dryRun":1}`, "dryRun cannot be"},
		{"dryRun a string", `{"dryRun":"true"}`, "dryRun cannot be"},
		{"force a string", `{"force":"yes"}`, "force cannot be"},
		{"force wrong beside a good dryRun", `{"dryRun":true,"force":0}`, "force cannot be"},
		{"groupIds a string", `{"groupIds":"sg-1"}`, "groupIds cannot be"},
		{"groupIds of numbers", `{"groupIds":[1]}`, "groupIds cannot be"},
		{"groupIds empty", `{"groupIds":[]}`, "groupIds is empty"},
		{"groupIds with null", `{"groupIds":["sg-1",null]}`, `"" is not the ID of a security group`},
		{"groupIds with nothing", `{"groupIds":[""]}`, `"" is not the ID`},
		{"a name for an ID", `{"groupIds":["web"]}`, `"web" is not the ID`},
		{"a wildcard", `{"groupIds":["sg-*"]}`, `"sg-*" is not the ID`},

		{"no records", `{"Records":[]}`, "event has no record"},
		{"records null", `{"Records":null}`, "event has no record"},
		{"records a string", `{"Records":"x"}`, "event's Records: "},
		{"record null", `{"Records":[null]}`, "record 0: it starts with null"},
		{"record without Sns", `{"Records":[{"EventSource":"aws:sns"}]}`, `record 0 comes from topic ""`},
		{"record of S3", `{"Records":[{"EventSource":"aws:s3","s3":{}}]}`, "not from SNS or SQS"},
		{"record of both", `{"Records":[{"EventSource":"aws:sns","eventSource":"aws:sqs"}]}`, "not from SNS or SQS"},
		{"record of no queue", `{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`, `comes from queue "", refused`},
		{"record of another queue", queued(queueARN+"2", tagged("cloudfront-ingress")), "only records of EVENT_QUEUE_ARN=" + queueARN + " count"},
		{"SNS behind SQS", strings.TrimSuffix(queued(queueARN, tagged("cloudfront-ingress")), "]}") + "," + record(config.DefaultTopicARN, newMessage) + "]}", "only records of one source count"},
		{"SQS behind SNS", strings.TrimSuffix(notification(newMessage), "]}") + `,{"eventSource":"aws:sqs"}]}`, "only records of one source count"},
		{"a body that is no event", queued(queueARN, "{}x"), "record 0: its body is not an event"},
		{"a notification in the queue", queued(queueARN, notification(newMessage)), "record 0: event has the detail-type"},
		{"a schedule in the queue", queued(queueARN, scheduled), "record 0: event has the detail-type"},
		{"a manual event in the queue", queued(queueARN, `{"force":true}`), "record 0: event has the detail-type"},
		{"Sns null", `{"Records":[{"EventSource":"aws:sns","Sns":null}]}`, "record 0: its Sns: it starts with null"},
		{"Sns a list", `{"Records":[{"EventSource":"aws:sns","Sns":[]}]}`, "record 0: its Sns: it starts with ["},
		{"topic a number", `{"Records":[{"EventSource":"aws:sns","Sns":{"TopicArn":1}}]}`, "record 0: its TopicArn: "},
		{"message an object", `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":{}}}]}`, "record 0: its Message: "},
		{"a topic given twice", strings.Replace(notification(newMessage), `"Sns":{`, `"Sns":{"TopicArn":"arn:aws:sns:us-east-1:111122223333:mine",`, 1), "duplicate"},
		{"a topic that is misspelt", strings.Replace(notification(newMessage), `"TopicArn"`, `"topicarn"`, 1), `topic ""`},
		{
			"other topic", `{"Records":[` + record(config.DefaultTopicARN+"2", newMessage) + `]}`,
			`comes from topic "` + config.DefaultTopicARN + `2", refused; only notifications of TOPIC_ARN=` + config.DefaultTopicARN + " count",
		},
		{"same name in another account", `{"Records":[` + record("arn:aws:sns:us-east-1:111122223333:AmazonIpSpaceChanged", newMessage) + `]}`, "refused"},
		{"other topic behind the right one", `{"Records":[` + record(config.DefaultTopicARN, newMessage) + "," + record("x", newMessage) + `]}`, `record 1 comes from topic "x"`},
		{"no message", notification(""), "record 0 has no message"},
		{"no message in the second record", notification(newMessage, ""), "record 1 has no message"},
		{"message not JSON", notification("You have chosen to subscribe"), "record 0: read notification"},
		{"message without synctoken", notification(`{"md5":"` + md5New + `"}`), "no synctoken"},
		{"a bad record behind a good one", notification(newMessage, "{}"), "record 1: read notification"},

		{"detail-type null", `{"detail-type":null}`, "detail-type"},
		{"detail-type a number", `{"detail-type":1}`, "detail-type"},
		{"source a number", `{"detail-type":"Scheduled Event","source":1}`, "source"},
		{"no source", `{"detail-type":"Scheduled Event"}`, "scheduled events, changes of tags and calls of EC2 are handled"},
		{"another event of EventBridge", `{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{}}`, "scheduled events, changes of tags"},
		{"a tag change of somebody else", strings.Replace(tagged("cloudfront-ingress"), "aws.tag", "acme", 1), `the source "acme"`},
		{"a call of another service", strings.Replace(called("AuthorizeSecurityGroupIngress", "", ""), "aws.ec2", "aws.s3", 1), `the source "aws.s3"`},
		{"a tag change without detail", `{"detail-type":"Tag Change on Resource","source":"aws.tag"}`, "detail"},
		{"a tag change with a list for a detail", `{"detail-type":"Tag Change on Resource","source":"aws.tag","detail":[]}`, "detail"},
		{"an option beside a tag change", strings.Replace(tagged("cloudfront-ingress"), "{", `{"force":true,`, 1), "beside members that AWS sends"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseEvent([]byte(test.payload), accepted)
			checkOneLine(t, err, "event", test.word)
			if diff := cmp.Diff(engine.Request{}, got.run); diff != "" || got.resource != nil {
				t.Errorf("a request is returned with the error\n%s", diff)
			}
		})
	}
}

// Whatever the size of what comes in, the error can be read.
func TestParseEventErrorIsBounded(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	for name, payload := range map[string]string{
		"text":                  huge,
		"binary":                strings.Repeat("\xff", 1<<20),
		"spaces, then text":     strings.Repeat(" ", 1<<20) + "x",
		"array":                 `["` + huge + `"]`,
		"cut":                   `{"dryRun":"` + huge,
		"dryRun":                `{"dryRun":"` + huge + `"}`,
		"force":                 `{"force":` + strings.Repeat("1", 1<<20) + `}`,
		"groupIds":              `{"groupIds":"` + huge + `"}`,
		"detail-type":           `{"detail-type":"` + huge + `"}`,
		"detail-type, nested":   `{"detail-type":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
		"nested too deep":       strings.Repeat(`{"a":`, 1<<20),
		"message":               notification(huge),
		"synctoken":             notification(`{"synctoken":"` + huge + `"}`),
		"member of the message": notification(`{"` + huge + `":1}`),
	} {
		_, err := parseEvent([]byte(payload), accepted)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 2000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
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

func TestSampleEvents(t *testing.T) {
	want := map[string]engine.Request{
		"sns.json":            {Notice: &iprange.Notice{SyncToken: "1787411825", MD5: md5New}},
		"schedule.json":       {Look: true},
		"manual.json":         {},
		"manual-dry-run.json": {DryRun: true},
		"manual-force.json":   {Force: true},
		"manual-groups.json":  {DryRun: true, GroupIDs: []string{"sg-0123456789abcdef0"}},
	}
	got := map[string]engine.Request{}
	for name, payload := range samples(t) {
		event, err := parseEvent(payload, accepted)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		switch name {
		case "tag-change.json", "api-call.json", "queue.json":
			continue // by TestParseChange
		}
		if strings.HasPrefix(name, "custom-resource-") {
			checkSampleRequest(t, name, event.resource)
			continue
		}
		got[name] = event.run
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Whatever is accepted is an object, a manual event has known members only, and a request asks for no more and no less
// than they say.
func FuzzParseEvent(f *testing.F) {
	for _, payload := range samples(f) {
		f.Add(payload)
	}
	for _, seed := range []string{
		``, `null`, `[]`, `{"dryrun":true}`, `{"dryRun":true,"dryRun":false}`, `{"dryRun":null}`, `{"groupIds":[]}`, `{} {}`,
		tagged("cloudfront-ingress"), called("RevokeSecurityGroupIngress", "", ""), queued(queueARN, tagged("a"), called("x", "y", "z")),
		`{"dry\u0052un":true}`, `{"Records":[null]}`, `{"detail-type":"Scheduled Event"}`, notification(oldMessage, newMessage),
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
		switch {
		case members["RequestType"] != nil:
			if event.resource == nil || event.resource.responseURL == nil || event.resource.stackID == "" || event.resource.id() == "" {
				t.Fatalf("accepted, but it cannot be answered: %+v", event.resource)
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

// checkOneLine fails unless err is one line that holds all the words.
func checkOneLine(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("an error of several lines: %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want one with %q", err, word)
		}
	}
}
