package stack

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/moto"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A rehearsal plays what a stack goes through on moto_server's CloudFormation, with what moto lacks supplied by
// testdata/rehearsal.py: the function's own binary runs there, and each of its calls is judged by its role's policies.
// It shows that template, role and code agree, and not that AWS does what its pages say.
type rehearsal struct {
	t        *testing.T
	python   string
	url      string // of moto_server
	folder   string
	feed     string
	document atomic.Pointer[string]
	read     int // lines of the log
	log      []logged
}

// logged is a line of the log of testdata/rehearsal.py.
type logged struct {
	Kind, Role, Action, Resource, Region, Answer, Log string

	Failed, Trusted bool
	Allowed, Denied []string
	Event           map[string]any
}

// The accounts of the rehearsal. The hub's is moto's own.
const (
	hubAccount, memberAccount, otherAccount = "123456789012", "222233334444", "333344445555"
	hubRegion                               = "eu-west-1"
	externalID                              = "hub-7"
)

func newRehearsal(t *testing.T) *rehearsal {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the rehearsal takes most of a minute")
	}
	r := &rehearsal{t: t, python: python(t, "moto.server, samtranslator"), folder: t.TempDir()}
	feed := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, *r.document.Load())
	}))
	t.Cleanup(feed.Close)
	r.feed = feed.URL + "/ip-ranges.json"
	r.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: feed.Certificate().Raw}))
	r.write("function.zip", functionZip(t))
	r.write("log.jsonl", nil)
	r.url = serveMoto(t, r.python, r.folder)
	return r
}

func serveMoto(t *testing.T, python, folder string) (url string) {
	t.Helper()
	return moto.Serve(t, python, func(port string) []string { return []string{"testdata/rehearsal.py", port, folder} })
}

// python returns a Python that has the modules. .ci/run makes one in build/python.
func python(t *testing.T, modules string) string {
	t.Helper()
	for _, candidate := range []string{"../../build/python/bin/python3", "python3"} {
		if exec.Command(candidate, "-c", "import "+modules).Run() == nil {
			return candidate
		}
	}
	t.Skipf("skipped: no Python has %s, so nothing was tried with them: pip install -r .ci/requirements.txt", modules)
	return ""
}

func (r *rehearsal) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rehearsal) write(name string, data []byte) {
	r.t.Helper()
	r.must(os.WriteFile(filepath.Join(r.folder, name), data, 0o600))
}

// functionZip returns the zip of the function as a release has it, for this machine.
func functionZip(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-tags", "lambda.norpc,nethttpomithttp2", "-o", dir+"/bootstrap", "./lambda")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return zipOf(t, os.DirFS(dir))
}

func zipOf(t *testing.T, files fs.FS) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	if err := errors.Join(archive.AddFS(files), archive.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutSAM returns template.yaml without SAM, as the plain template of a release is.
func withoutSAM(t *testing.T, python, yaml string) template {
	t.Helper()
	cmd := exec.Command(python, "../release/transform.py")
	cmd.Stdin = strings.NewReader(strings.Replace(yaml, "CodeUri: .", "CodeUri: s3://code/function.zip", 1))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var parsed template
	if err := errors.Join(err, json.Unmarshal(out, &parsed)); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (r *rehearsal) config(account, region string) aws.Config {
	// On a machine that is busy, moto_server now and then ends an answer early.
	again := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return aws.TrueTernary
		}
		return aws.UnknownTernary
	})
	return aws.Config{
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.Retryables = append(o.Retryables, again) })
		},
		Region: region, BaseEndpoint: &r.url,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		APIOptions:  []func(*middleware.Stack) error{smithyhttp.AddHeaderValue("x-moto-account-id", account)},
	}
}

// deploy makes a stack, or changes the one of that name, and returns the entries that the log has got.
func (r *rehearsal) deploy(account, region, name string, s template, parameters map[string]string) []logged {
	r.t.Helper()
	body, err := json.Marshal(s)
	r.must(err)
	text := string(body)
	var list []cfntypes.Parameter
	for key, value := range parameters {
		list = append(list, cfntypes.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	client := cloudformation.NewFromConfig(r.config(account, region))
	_, err = client.DescribeStacks(r.t.Context(), &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		_, err = client.CreateStack(r.t.Context(),
			&cloudformation.CreateStackInput{StackName: &name, TemplateBody: &text, Parameters: list})
	} else {
		_, err = client.UpdateStack(r.t.Context(),
			&cloudformation.UpdateStackInput{StackName: &name, TemplateBody: &text, Parameters: list})
	}
	r.must(err)
	return r.entries()
}

func (r *rehearsal) delete(name string) {
	r.t.Helper()
	_, err := cloudformation.NewFromConfig(r.config(hubAccount, hubRegion)).DeleteStack(r.t.Context(),
		&cloudformation.DeleteStackInput{StackName: &name})
	r.must(err)
	r.entries()
}

// entries returns what the log has got since the last time. A run that failed fails the test.
func (r *rehearsal) entries() []logged {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.folder, "log.jsonl"))
	r.must(err)
	lines := slices.Collect(strings.Lines(string(data)))
	var found []logged
	for _, line := range lines[r.read:] {
		var l logged
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			r.t.Fatalf("%v: %s", err, line)
		}
		if l.Kind == "invoke" && l.Failed {
			r.t.Errorf("the function failed on %v: %s\n%s", l.Event, l.Answer, l.Log)
		}
		found = append(found, l)
	}
	r.read, r.log = len(lines), append(r.log, found...)
	return found
}

// kinds counts the entries of a kind.
func kinds(entries []logged, kind string) int {
	return len(slices.DeleteFunc(slices.Clone(entries), func(l logged) bool { return l.Kind != kind }))
}

// publish makes a file of the ranges, so many hours after the first, and returns the message that announces it.
func (r *rehearsal) publish(hours int, ranges ...string) string {
	lists := map[string][]map[string]string{}
	for _, cidr := range ranges {
		list, prefix := "prefixes", "ip_prefix"
		if strings.Contains(cidr, ":") {
			list, prefix = "ipv6_prefixes", "ipv6_prefix"
		}
		lists[list] = append(lists[list], map[string]string{prefix: cidr, "service": "CLOUDFRONT"})
	}
	at := time.Date(2026, 9, 21, 14+hours, 13, 20, 0, time.UTC)
	token, created := strconv.FormatInt(at.Unix(), 10), at.Format("2006-01-02-15-04-05")
	data, err := json.Marshal(map[string]any{
		"syncToken": token, "createDate": created, "prefixes": lists["prefixes"], "ipv6_prefixes": lists["ipv6_prefixes"],
	})
	r.must(err)
	document := string(data)
	r.document.Store(&document)
	return fmt.Sprintf(`{"create-time":%q,"synctoken":%q,"md5":"%x","url":"https://ip-ranges.example/"}`,
		created, token, md5.Sum(data))
}

// A home is an account and a region with a tagged group and, if it has any, a tagged prefix list.
type home struct {
	account, region string
	client          *ec2.Client
	group, list     string
}

func (r *rehearsal) home(account, region string, withList bool) *home {
	r.t.Helper()
	h := &home{account: account, region: region, client: ec2.NewFromConfig(r.config(account, region))}
	h.group = r.group(h, "web", "443")
	if withList {
		out, err := h.client.CreateManagedPrefixList(r.t.Context(), &ec2.CreateManagedPrefixListInput{
			PrefixListName: aws.String("cloudfront"), AddressFamily: aws.String("IPv4"), MaxEntries: aws.Int32(10),
			TagSpecifications: tagged(types.ResourceTypePrefixList, "ranges"),
		})
		r.must(err)
		h.list = *out.PrefixList.PrefixListId
	}
	return h
}

// group makes a tagged group.
func (r *rehearsal) group(h *home, name, ports string) string {
	r.t.Helper()
	out, err := h.client.CreateSecurityGroup(r.t.Context(), &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: &name, TagSpecifications: tagged(types.ResourceTypeSecurityGroup, ports),
	})
	r.must(err)
	return *out.GroupId
}

func tagged(kind types.ResourceType, value string) []types.TagSpecification {
	tag := types.Tag{Key: aws.String("cloudfront-ingress"), Value: &value}
	return []types.TagSpecification{{ResourceType: kind, Tags: []types.Tag{tag}}}
}

// ranges returns what a group lets in, in order.
func (r *rehearsal) ranges(h *home, group string) string {
	r.t.Helper()
	out, err := h.client.DescribeSecurityGroups(r.t.Context(),
		&ec2.DescribeSecurityGroupsInput{GroupIds: []string{group}})
	r.must(err)
	var all []string
	for _, p := range out.SecurityGroups[0].IpPermissions {
		for _, source := range p.IpRanges {
			all = append(all, *source.CidrIp)
		}
		for _, source := range p.Ipv6Ranges {
			all = append(all, *source.CidrIpv6)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// check checks what the groups of all homes let in, and the IPv4 ranges of their lists.
func (r *rehearsal) check(when, want string, homes ...*home) {
	r.t.Helper()
	for _, h := range homes {
		where := fmt.Sprintf("%s, in %s %s: ", when, h.account, h.region)
		same(r.t, where+"the group", want, r.ranges(h, h.group))
		if h.list == "" {
			continue
		}
		out, err := h.client.GetManagedPrefixListEntries(r.t.Context(),
			&ec2.GetManagedPrefixListEntriesInput{PrefixListId: &h.list})
		r.must(err)
		got := []string{}
		for _, e := range out.Entries {
			got = append(got, *e.Cidr)
		}
		slices.Sort(got)
		v4 := slices.DeleteFunc(strings.Fields(want), func(cidr string) bool { return strings.Contains(cidr, ":") })
		same(r.t, where+"the list", v4, got)
	}
}

// event sends an event to the default bus of the hub, whose rules are moto's to match.
func (r *rehearsal) event(source, detailType string, detail any) []logged {
	r.t.Helper()
	text, err := json.Marshal(detail)
	r.must(err)
	body, err := json.Marshal(map[string]any{"Entries": []map[string]string{
		{"Source": source, "DetailType": detailType, "Detail": string(text)},
	}})
	r.must(err)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url, bytes.NewReader(body))
	r.must(err)
	req.Header.Set("X-Amz-Target", "AWSEvents.PutEvents")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260921/"+hubRegion+
		"/events/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(req)
	r.must(err)
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK ||
		!strings.Contains(string(answer), `"FailedEntryCount": 0`) {
		r.t.Fatalf("the bus does not take the event: %s %s", res.Status, answer)
	}
	return r.entries()
}

// invoke invokes the function, and returns what the log has got.
func (r *rehearsal) invoke(event string) []logged {
	r.t.Helper()
	client := lambda.NewFromConfig(r.config(hubAccount, hubRegion))
	functions, err := client.ListFunctions(r.t.Context(), &lambda.ListFunctionsInput{})
	r.must(err)
	_, err = client.Invoke(r.t.Context(), &lambda.InvokeInput{
		FunctionName: functions.Functions[0].FunctionArn,
		Payload:      []byte(event),
	})
	r.must(err)
	return r.entries()
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	hub, member := withoutSAM(t, r.python, read(t, mainFile)), readTemplate(t, memberFile)
	topic, err := sns.NewFromConfig(r.config(hubAccount, hubRegion)).CreateTopic(t.Context(),
		&sns.CreateTopicInput{Name: aws.String("changes")})
	r.must(err)
	settings := map[string]string{
		"IpRangesUrl": r.feed, "Regions": hubRegion + ", us-west-2", "MemberAccounts": memberAccount,
		"ExternalId": externalID, "WatchChanges": "true",
		"RoleArns":       "arn:aws:iam::" + otherAccount + ":role/theirs",
		"NotifyTopicArn": *topic.TopicArn, "RoleName": "hub",
		"EnvironmentKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
		"QueueKeyArn":       "arn:aws:kms:eu-west-1:123456789012:key/2",
	}
	for account, role := range map[string]string{memberAccount: "cloudfront-sg-sync", otherAccount: "theirs"} {
		r.deploy(account, hubRegion, "member", member, map[string]string{
			"HubRoleArn": "arn:aws:iam::" + hubAccount + ":role/hub", "ExternalId": externalID,
			"Regions": hubRegion + ", us-west-2", "RoleName": role,
		})
	}
	homes := []*home{
		r.home(hubAccount, hubRegion, true), r.home(hubAccount, "us-west-2", false),
		r.home(memberAccount, hubRegion, true), r.home(otherAccount, "us-west-2", false),
	}
	r.publish(0, "18.64.0.0/16", "52.84.0.0/15", "99.84.0.0/16", "2600:9000::/28")

	made := r.deploy(hubAccount, hubRegion, stackName, hub, settings)
	same(t, "syncs of the deployment", 1, kinds(made, "custom resource"))
	r.check("create", "18.64.0.0/16 2600:9000::/28 52.84.0.0/15 99.84.0.0/16", homes...)
	r.playEvents(homes)

	settings["IpFamilies"] = "ipv4"
	made = r.deploy(hubAccount, hubRegion, stackName, hub, settings)
	same(t, "syncs of the update", 1, kinds(made, "custom resource"))
	r.check("update", "18.64.0.0/16 52.84.0.0/16", homes...)
	r.delete(stackName)
	r.check("deleted, kept", "18.64.0.0/16 52.84.0.0/16", homes...)

	settings["OnDelete"] = "withdraw"
	r.deploy(hubAccount, hubRegion, stackName, hub, settings)
	r.delete(stackName)
	r.check("deleted, withdrawn", "", homes...)
	r.checkCalls(hub, member, settings)
}

// playEvents plays all that starts a run between deployments.
func (r *rehearsal) playEvents(homes []*home) {
	t, h := r.t, homes[0]
	t.Helper()
	message := r.publish(1, "18.64.0.0/16", "52.84.0.0/16", "99.84.0.0/16", "2600:9000::/28")
	_, err := sns.NewFromConfig(r.config("806199016981", "us-east-1")).Publish(t.Context(), &sns.PublishInput{
		TopicArn: aws.String("arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged"), Message: &message,
	})
	r.must(err)
	same(t, "runs after an announcement", 1, kinds(r.entries(), "invoke"))
	const all = "18.64.0.0/16 2600:9000::/28 52.84.0.0/16 99.84.0.0/16"
	r.check("announcement", all, homes...)

	late := r.group(h, "late", "80")
	for key, runs := range map[string]int{"Name": 0, "cloudfront-ingress-public": 1} {
		made := r.event("aws.tag", "Tag Change on Resource", map[string]any{
			"changed-tag-keys": []string{key}, "service": "ec2",
			"resource-type": "security-group", "tags": map[string]string{},
		})
		same(t, "runs after a change of the tag "+key, runs, kinds(made, "invoke"))
	}
	same(t, "the group that was tagged lets in", all, r.ranges(h, late))

	called := func(identity, errorCode any) int {
		detail := map[string]any{
			"eventSource": "ec2.amazonaws.com", "eventName": "RevokeSecurityGroupIngress", "userIdentity": identity,
		}
		if errorCode != nil {
			detail["errorCode"] = errorCode
		}
		return kinds(r.event("aws.ec2", "AWS API Call via CloudTrail", detail), "invoke")
	}
	issuer := func(role string) map[string]any {
		arn := "arn:aws:iam::" + hubAccount + ":role/" + role
		return map[string]any{
			"type": "AssumedRole", "sessionContext": map[string]any{"sessionIssuer": map[string]any{"arn": arn}},
		}
	}
	user := map[string]any{"type": "IAMUser"}
	for _, test := range []struct {
		who      string
		identity map[string]any
		runs     int
	}{{"a user", user, 1}, {"another role", issuer("ops"), 1}, {"the function", issuer("hub"), 0}} {
		_, err = h.client.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{
			GroupId: &h.group, IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
			CidrIp: aws.String("18.64.0.0/16"),
		})
		r.must(err)
		same(t, "runs after a call of "+test.who, test.runs, called(test.identity, nil))
		if test.runs > 0 {
			r.check("a call of "+test.who, all, homes...)
		}
	}
	same(t, "runs after a call that failed", 0, called(user, "Client.UnauthorizedOperation"))
	if made := r.invoke(`{"dryRun":true}`); len(made) == 0 ||
		!strings.Contains(made[len(made)-1].Answer, `"dryRun":true,"changed":true`) {
		t.Errorf("a dry run finds nothing to do: %v", made)
	}
	r.invoke(`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`)
	r.check("schedule", all, homes...)
	r.publish(2, "18.64.0.0/16", "52.84.0.0/16", "2600:9000::/28") // only removes, so that descriptions have to tell
	r.invoke(`{}`)
	r.check("manual", "18.64.0.0/16 2600:9000::/28 52.84.0.0/16", homes...)
	if made := r.invoke(`{}`); !strings.Contains(made[len(made)-1].Answer, `"changed":false`) {
		t.Errorf("a second run changes something: %v", made[len(made)-1].Answer)
	}
}

// byLambda are the statements that Lambda needs itself, and their actions, with the function's role.
var byLambda = map[string][]string{
	// https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
	"WriteOwnLog": {"logs:CreateLogStream", "logs:PutLogEvents"},
	// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
	"SendFailedEvents": {"sqs:SendMessage"},
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
	"ReceiveChanges": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
	"UseKeyOfQueue": {"kms:GenerateDataKey", "kms:Decrypt"},
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
	"DecryptEnvironment": {"kms:Decrypt"},
}

// checkCalls finds calls that not exactly one statement allows, and statements and actions that nothing needed, except
// those that Lambda uses itself.
func (r *rehearsal) checkCalls(hub, member template, settings map[string]string) {
	t := r.t
	t.Helper()
	used := map[string]bool{}
	for _, l := range r.log {
		if l.Kind != "call" {
			continue
		}
		name := l.Role[strings.LastIndex(l.Role, "/")+1:]
		if len(l.Allowed) != 1 || len(l.Denied) > 0 || !l.Trusted {
			t.Errorf("%s: %s on %s in %s is allowed by %v, denied by %v; trusted: %t", name, l.Action, l.Resource,
				l.Region, l.Allowed, l.Denied, l.Trusted)
			continue
		}
		used[name+" "+l.Allowed[0]] = true
		used[l.Action] = true
	}
	for _, role := range []struct {
		name, id string
		d        *deployment
	}{{"hub", "SyncRole", deploy(hub, settings)}, {"cloudfront-sg-sync", "MemberRole", memberOf(member)}} {
		for sid, s := range statements(t, role.d, role.id) {
			if actions, ok := byLambda[sid]; ok {
				same(t, "what Lambda does by "+sid, actions, s.Actions)
				continue
			}
			for _, name := range append(s.Actions, role.name+" "+sid) {
				if !used[name] {
					t.Errorf("no call needed %s", name)
				}
			}
		}
	}
}
