package main

import (
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// world is what the function finds outside of itself: EC2, and the feed.
type world struct {
	t        *testing.T
	sim      *ec2sim.Server
	ec2      *ec2.Client
	url      string // of the endpoint
	document atomic.Pointer[string]
	feed     string
}

func newWorld(t *testing.T, o ec2sim.Options, document string) *world {
	t.Helper()
	w := &world{t: t, sim: ec2sim.New(o)}
	w.document.Store(&document)
	endpoint := httptest.NewServer(w.sim)
	t.Cleanup(endpoint.Close)
	feed := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		document := *w.document.Load()
		rw.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum([]byte(document)))))
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(document))
	}))
	t.Cleanup(feed.Close)
	w.url, w.feed = endpoint.URL, feed.URL+"/ip-ranges.json"
	w.ec2 = newEC2(w.url)
	return w
}

// newEC2 returns a client of an endpoint.
func newEC2(url string) *ec2.Client {
	own := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	return ec2.New(ec2.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: own})
}

// start starts bootstrap in the world, with more variables if need be.
func (w *world) start(env map[string]string) *runtime {
	all := map[string]string{"IP_RANGES_URL": w.feed, "AWS_ENDPOINT_URL": w.url}
	maps.Copy(all, env)
	return startRuntime(w.t, all)
}

// group makes a tagged security group in the default VPC and returns its ID.
func (w *world) group(name string, tags map[string]string) string {
	w.t.Helper()
	in := &ec2.CreateSecurityGroupInput{GroupName: &name, Description: aws.String("of a test")}
	if len(tags) > 0 {
		in.TagSpecifications = tagged(types.ResourceTypeSecurityGroup, tags)
	}
	out, err := w.ec2.CreateSecurityGroup(context.Background(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.GroupId
}

// tagged returns the tags of what is made.
func tagged(kind types.ResourceType, tags map[string]string) []types.TagSpecification {
	spec := types.TagSpecification{ResourceType: kind}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		spec.Tags = append(spec.Tags, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	return []types.TagSpecification{spec}
}

// counts has a number for IPv4 and one for IPv6.
type counts struct{ v4, v6 int }

// checkOwned checks how many rules a group of the embedded endpoint has: all for port 443, with the description.
func (w *world) checkOwned(id, description string, want counts) {
	w.t.Helper()
	var got counts
	g, _ := w.sim.Region("", "us-east-1").Group(id)
	for _, r := range g.Ingress {
		if r.Permission != ec2sim.TCP(443, 443, r.Source.Prefix) || r.Description != description {
			w.t.Errorf("%s has the rule %+v", id, r)
		}
		if r.Source.Prefix.Addr().Is6() {
			got.v6++
		} else {
			got.v4++
		}
	}
	if got != want {
		w.t.Errorf("%s has %+v rules, not %+v", id, got, want)
	}
}

// calls returns the EC2 actions called since the last reset, and resets.
func (w *world) calls() string {
	var actions []string
	for _, c := range w.sim.Calls() {
		actions = append(actions, c.Action)
	}
	w.sim.ResetCalls()
	beginning := strings.Fields("GetCallerIdentity " + bothDescribes) // side by side, the account's ID only once
	looks := 0
	for looks < len(actions) && slices.Contains(beginning, actions[looks]) {
		looks++
	}
	slices.SortFunc(actions[:looks], func(a, b string) int { return strings.Compare(b, a) })
	return strings.Join(actions, " ")
}

// bothDescribes are the calls that look for groups and prefix lists.
const bothDescribes = "DescribeSecurityGroups DescribeManagedPrefixLists"

// notification returns the event that the topic sends of a document.
func notification(document, topic string) string {
	var d struct {
		SyncToken  string `json:"syncToken"`
		CreateDate string `json:"createDate"`
	}
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		panic(err)
	}
	message, _ := json.Marshal(map[string]string{
		"create-time": d.CreateDate, "synctoken": d.SyncToken,
		"md5": fmt.Sprintf("%x", md5.Sum([]byte(document))), "url": "https://evil.example/ip-ranges.json",
	})
	event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"EventSource": "aws:sns", "EventVersion": "1.0",
		"Sns": map[string]any{"Type": "Notification", "TopicArn": topic, "Message": string(message)},
	}}})
	return string(event)
}

const topic = "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged"

// document is a small file in the published schema.
const document = `{"syncToken":"1790000000","createDate":"2026-09-21-14-13-20","prefixes":[
{"ip_prefix":"18.64.0.0/15","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"},
{"ip_prefix":"18.66.0.0/15","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"},
{"ip_prefix":"52.222.128.0/17","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"},
{"ip_prefix":"3.5.140.0/22","region":"us-east-1","service":"S3","network_border_group":"us-east-1"}],
"ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","region":"GLOBAL","service":"CLOUDFRONT"}]}`

const description = "cloudfront-ingress: CLOUDFRONT 2026-09-21T14:13:20Z"

// Each kind of event makes the fewest calls, and only a tagged group is changed.
func TestFunction(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	other := w.group("other", nil)
	w.sim.ResetCalls()
	f := w.start(nil)

	rep := f.succeed(notification(document, topic))
	if got := w.calls(); got != "GetCallerIdentity "+bothDescribes+" GetServiceQuota AuthorizeSecurityGroupIngress" {
		t.Errorf("first sync calls %s", got)
	}
	want := report{
		SyncToken: "1790000000", PublishedAt: "2026-09-21T14:13:20Z", Changed: true,
		Groups:      []groupReport{{Region: "us-east-1", GroupID: web, Name: "web", Ports: []string{"443"}, Added: 3}},
		PrefixLists: []prefixListReport{}, Warnings: []string{}, Errors: []string{},
	}
	want.Ranges.IPv4, want.Ranges.IPv6 = 2, 1
	want.Summary.Groups, want.Summary.Changed, want.Summary.Added = 1, 1, 3
	if diff := cmp.Diff(want, rep); diff != "" {
		t.Errorf("-want +answered\n%s", diff)
	}
	w.checkOwned(web, description, counts{2, 1})
	w.checkOwned(other, "", counts{})

	for event, calls := range map[string]string{
		notification(document, topic):    bothDescribes,
		sample(t, "manual.json"):         bothDescribes,
		sample(t, "manual-dry-run.json"): bothDescribes,
		sample(t, "schedule.json"):       bothDescribes + " DescribeNetworkInterfaces DescribeSecurityGroups", // mistyped
	} {
		if rep := f.succeed(event); rep.Changed || rep.Groups[0].Kept != 3 {
			t.Errorf("event %s: answer %+v", event, rep)
		}
		if got := w.calls(); got != calls {
			t.Errorf("event %s calls %s", event, got)
		}
	}

	const another = "arn:aws:sns:us-east-1:111122223333:Other"
	if msg := f.fail(notification(document, another)); !strings.Contains(msg, "TOPIC_ARN") {
		t.Errorf("a message of another topic: %s", msg)
	}
	if got := w.calls(); got != "" {
		t.Errorf("a message of another topic calls %s", got)
	}
	log := f.wholeLog()
	if !strings.Contains(log, `"requestId":"8476a536`) || !strings.Contains(log, `"syncToken":"1790000000"`) {
		t.Error("the log lacks the request ID or the answer")
	}
}

// sample returns a sample event of the repository.
func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "events", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// publishedFile returns the file that AWS published on 2026-08-22. Without the data beside the repository the test is
// skipped.
func publishedFile(t *testing.T) string {
	t.Helper()
	published, err := readPublishedFile()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the published file is not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(published)
}

func readPublishedFile() ([]byte, error) {
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "ip-ranges-2026-08-22.json.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(gz)
}

// One group holds the whole list where the quota allows, and a pool of three at the default quota, each rule once. A
// pool of two is filled and says what it lacks. The second run changes nothing.
func TestFunctionOnPublishedFile(t *testing.T) {
	for _, test := range []struct {
		quota int
		rules []counts // of each group
		fails string
	}{
		{200, []counts{{180, 31}}, ""},
		{60, []counts{{60, 31}, {60, 0}, {60, 0}}, ""},
		{60, []counts{{60, 31}, {60, 0}}, `pool "web" is too small: port 443 needs 180 IPv4 rules, room for 120; `},
	} {
		w := newWorld(t, ec2sim.Options{RulesPerGroup: test.quota}, publishedFile(t))
		var ids []string
		for i := range test.rules {
			tags := map[string]string{"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}
			ids = append(ids, w.group(fmt.Sprint("web-", i), tags))
		}
		slices.Sort(ids)
		w.sim.ResetCalls()
		f := w.start(nil)
		second := bothDescribes
		if test.fails != "" {
			second += " GetServiceQuota"
		}
		authorizes := strings.Repeat(" AuthorizeSecurityGroupIngress", len(ids))
		for _, calls := range []string{"GetCallerIdentity " + bothDescribes + " GetServiceQuota" + authorizes, second} {
			a, says := f.invoke(sample(t, "sns.json")), strings.ReplaceAll(test.fails, `"`, `\"`)
			if got := w.calls(); got != calls || a.failed != (says != "") || !strings.Contains(string(a.body), says) {
				t.Errorf("%d groups: calls %s, answer %s", len(ids), got, a.body)
			}
		}
		for i, id := range ids {
			w.checkOwned(id, "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z", test.rules[i])
		}
	}
}

// A function that cannot read its configuration starts all the same, answers every event with one line that names every
// variable in question, and touches nothing.
func TestFunctionWithBadEnvironment(t *testing.T) {
	w := newWorld(t, ec2sim.Options{}, document)
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	w.sim.ResetCalls()
	f := w.start(map[string]string{"MAX_REVOKE_PERCENT": "33.3", "METRICS_NAMESPACE": "AWS/foo"})
	names := func(text string) bool {
		return !strings.ContainsAny(text, "\n") && strings.Contains(text, `MAX_REVOKE_PERCENT="33.3"`) &&
			strings.Contains(text, `METRICS_NAMESPACE="AWS/foo"`) && !strings.Contains(text, "IP_RANGES_URL")
	}
	for _, event := range []string{`{"dryRun":true}`, `{"nonsense":1}`, ``, sample(t, "sns.json"), sample(t, "api-call.json")} {
		if msg := f.fail(event); !names(msg) {
			t.Errorf("event %.40s: error %q", event, msg)
		}
	}
	c := newCloudFormation(t)
	for _, kind := range []string{"Create", "Update"} {
		began := time.Now()
		a := c.deliver(f, c.request(kind, "", "withdraw"))
		if took := time.Since(began); a.Status != "FAILED" || !names(a.Reason) || took > 5*time.Second {
			t.Errorf("%s: answer %+v after %s", kind, a, took)
		}
	}
	for _, onDelete := range []string{"keep", "withdraw"} {
		a := c.deliver(f, c.request("Delete", "SyncAtDeploy-86ac7dd0-d735-11e8-9b9e-503aca4a5835", onDelete))
		if a.Status != "SUCCESS" || !names(a.Reason) {
			t.Errorf("delete, %s: answer %+v", onDelete, a)
		}
	}
	if calls := w.calls(); calls != "" {
		t.Errorf("calls %s", calls)
	}
	w.checkOwned(web, description, counts{})
}
