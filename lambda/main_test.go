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
	w.ec2 = ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: &w.url,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
	return w
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
	spec := types.TagSpecification{ResourceType: types.ResourceTypeSecurityGroup}
	for key, value := range tags {
		spec.Tags = append(spec.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	if len(spec.Tags) > 0 {
		in.TagSpecifications = []types.TagSpecification{spec}
	}
	out, err := w.ec2.CreateSecurityGroup(context.Background(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.GroupId
}

// owned counts a group's rules on a port by family, and fails on one whose description is not want.
func (w *world) owned(id string, port int32, want string) (ipv4, ipv6 int) {
	w.t.Helper()
	out, err := w.ec2.DescribeSecurityGroups(context.Background(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range out.SecurityGroups[0].IpPermissions {
		if *p.IpProtocol != "tcp" || *p.FromPort != port || *p.ToPort != port {
			w.t.Errorf("%s has a rule on %s %d-%d", id, *p.IpProtocol, *p.FromPort, *p.ToPort)
		}
		for _, r := range p.IpRanges {
			ipv4++
			if aws.ToString(r.Description) != want {
				w.t.Errorf("rule %s is described %q, not %q", *r.CidrIp, aws.ToString(r.Description), want)
			}
		}
		for _, r := range p.Ipv6Ranges {
			ipv6++
			if aws.ToString(r.Description) != want {
				w.t.Errorf("rule %s is described %q, not %q", *r.CidrIpv6, aws.ToString(r.Description), want)
			}
		}
	}
	return ipv4, ipv6
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
"ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}]}`

const description = "cloudfront-ingress: CLOUDFRONT 2026-09-21T14:13:20Z"

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
	if rep.SyncToken != "1790000000" || rep.PublishedAt != "2026-09-21T14:13:20Z" || !rep.Changed || rep.Summary.Added != 3 || rep.Summary.Groups != 1 {
		t.Errorf("answer %+v", rep)
	}
	if len(rep.Groups) != 1 || rep.Groups[0].GroupID != web || rep.Groups[0].Region != "us-east-1" || rep.Groups[0].Ports[0] != "443" {
		t.Errorf("groups %+v", rep.Groups)
	}
	if v4, v6 := w.owned(web, 443, description); v4 != 2 || v6 != 1 {
		t.Errorf("%d IPv4 and %d IPv6 rules, not 2 and 1", v4, v6)
	}
	if v4, v6 := w.owned(other, 0, ""); v4+v6 != 0 {
		t.Error("a group without the tag was changed")
	}
	w.sim.ResetCalls()

	const look = bothDescribes
	for event, calls := range map[string]string{
		notification(document, topic):    look,
		sample(t, "manual.json"):         look,
		sample(t, "manual-dry-run.json"): look,
		sample(t, "schedule.json"):       look + " DescribeNetworkInterfaces DescribeSecurityGroups", // the second for mistyped tags
	} {
		if rep := f.succeed(event); rep.Changed || rep.Groups[0].Kept != 3 {
			t.Errorf("event %s: answer %+v", event, rep)
		}
		if got := w.calls(); got != calls {
			t.Errorf("event %s calls %s", event, got)
		}
	}

	if msg := f.fail(notification(document, "arn:aws:sns:us-east-1:111122223333:Other")); !strings.Contains(msg, "TOPIC_ARN") {
		t.Errorf("a message of another topic: %s", msg)
	}
	if got := w.calls(); got != "" {
		t.Errorf("a message of another topic calls %s", got)
	}
	if !strings.Contains(f.log.String(), `"requestId":"8476a536`) || !strings.Contains(f.log.String(), `"syncToken":"1790000000"`) {
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

const publishedDescription = "cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"

func TestFunctionOnPublishedFile(t *testing.T) {
	w := newWorld(t, ec2sim.Options{RulesPerGroup: 200}, publishedFile(t))
	web := w.group("web", map[string]string{"cloudfront-ingress": "443"})
	w.sim.ResetCalls()
	fn := w.start(nil)
	if rep := fn.succeed(sample(t, "sns.json")); rep.Ranges.IPv4 != 180 || rep.Ranges.IPv6 != 31 || rep.Summary.Added != 211 {
		t.Errorf("answer %+v", rep)
	}
	if v4, v6 := w.owned(web, 443, publishedDescription); v4 != 180 || v6 != 31 {
		t.Errorf("%d IPv4 and %d IPv6 rules, not 180 and 31", v4, v6)
	}
	w.sim.ResetCalls()
	if rep := fn.succeed(`{}`); rep.Changed || rep.Summary.Groups != 1 {
		t.Errorf("answer %+v", rep)
	}
	if got := w.calls(); got != bothDescribes {
		t.Errorf("the second run calls %s", got)
	}
}

// At the default quota of 60 a pool of three groups holds the whole list, each rule once; a pool of two is filled and
// says what it lacks.
func TestFunctionOnPublishedFileInPool(t *testing.T) {
	for groups, want := range map[int][2]int{3: {180, 31}, 2: {120, 31}} {
		t.Run(fmt.Sprint(groups, " groups"), func(t *testing.T) {
			w := newWorld(t, ec2sim.Options{}, publishedFile(t))
			var ids []string
			for i := range groups {
				ids = append(ids, w.group(fmt.Sprint("web-", i), map[string]string{"cloudfront-ingress": "443", "cloudfront-ingress-pool": "web"}))
			}
			w.sim.ResetCalls()
			fn := w.start(nil)
			if groups == 3 {
				fn.succeed(sample(t, "sns.json"))
			} else if msg := fn.fail(sample(t, "sns.json")); !strings.Contains(msg, `pool "web" is too small: port 443 needs 180 IPv4 rules, room for 120; `) {
				t.Errorf("error %s", msg)
			}
			if got := strings.Count(w.calls(), "AuthorizeSecurityGroupIngress"); got != groups {
				t.Errorf("%d authorizes for %d groups", got, groups)
			}
			var sum [2]int
			for _, id := range ids {
				v4, v6 := w.owned(id, 443, publishedDescription)
				if v4 > 60 || v6 > 60 {
					t.Errorf("%s holds %d IPv4 and %d IPv6 rules", id, v4, v6)
				}
				sum[0] += v4
				sum[1] += v6
			}
			if sum != want {
				t.Errorf("the pool holds %v rules, not %v", sum, want)
			}
		})
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
		return !strings.Contains(text, "\n") && strings.Contains(text, `MAX_REVOKE_PERCENT="33.3"`) && strings.Contains(text, `METRICS_NAMESPACE="AWS/foo"`) && !strings.Contains(text, "IP_RANGES_URL")
	}
	for _, event := range []string{`{}`, `{"dryRun":true}`, `{"nonsense":1}`, ``, sample(t, "sns.json"), sample(t, "schedule.json")} {
		if msg := f.fail(event); !names(msg) {
			t.Errorf("event %.40s: error %q", event, msg)
		}
	}
	c := newCloudFormation(t)
	for _, kind := range []string{"Create", "Update"} {
		began := time.Now()
		if a := c.deliver(f, c.request(kind, "", "withdraw")); a.Status != "FAILED" || !names(a.Reason) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: answer %+v after %s", kind, a, time.Since(began))
		}
	}
	for _, onDelete := range []string{"keep", "withdraw"} {
		if a := c.deliver(f, c.request("Delete", "SyncAtDeploy-86ac7dd0-d735-11e8-9b9e-503aca4a5835", onDelete)); a.Status != "SUCCESS" || !names(a.Reason) {
			t.Errorf("delete, %s: answer %+v", onDelete, a)
		}
	}
	if calls := w.calls(); calls != "" {
		t.Errorf("calls %s", calls)
	}
	if v4, v6 := w.owned(web, 443, description); v4+v6 > 0 {
		t.Errorf("%d rules", v4+v6)
	}
}
