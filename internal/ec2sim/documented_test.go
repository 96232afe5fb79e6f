package ec2sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A documented case has bare requests of calls that this project makes, and the answer to the last of them as the AWS
// documentation has it.
type documented struct {
	name, page string
	calls      []string // the last one counts
	status     int
	want       []string // in the last answer; after a ! not in it
	moto       string   // how moto differs
}

// readDocumented reads the cases of a file in testdata. OTHER is a group in a VPC of one's own, BUILTIN that VPC's
// default group, DEFAULT a group in the default VPC, LIST a prefix list, and AWSLIST one of AWS's. ${NAME} is what a
// line "let NAME TEXT" says, and ${COUNT FORMAT} that many parameters, with their numbers and different ranges.
func readDocumented(t *testing.T, name string) (cases []documented) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	expand := func(name string) string {
		count, format, several := strings.Cut(name, " ")
		if !several {
			return texts[name]
		}
		n, _ := strconv.Atoi(count)
		query := ""
		for i, prefix := range v4(n) {
			query += fmt.Sprintf(format, i+1, prefix)
		}
		return query
	}
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "#" {
			cases = append(cases, documented{name: rest})
			continue
		}
		if word == "let" {
			name, text, _ := strings.Cut(rest, " ")
			texts[name] = text
			continue
		}
		if word == "" {
			continue
		}
		c := &cases[len(cases)-1]
		switch word {
		case "see":
			c.page = rest
		case "call":
			c.calls = append(c.calls, os.Expand(rest, expand))
		case "status":
			c.status, _ = strconv.Atoi(rest)
		case "has":
			c.want = append(c.want, rest)
		case "lacks":
			c.want = append(c.want, "!"+rest)
		case "moto":
			c.moto = rest
		default:
			t.Fatalf("%s: %s", name, line)
		}
	}
	return cases
}

func TestDocumented(t *testing.T) {
	for _, c := range readDocumented(t, "documented.txt") {
		t.Run(c.name, func(t *testing.T) {
			sim := ec2sim.New(ec2sim.Options{})
			here := sim.Region("", "us-east-1")
			list, err := here.CreatePrefixList(ec2sim.PrefixList{Name: "list", Family: "IPv4", MaxEntries: 101})
			if err != nil {
				t.Fatal(err)
			}
			ids := strings.NewReplacer(
				"AWSLIST", here.PrefixLists()[0].ID, "LIST", list.ID, "VPC", here.OtherVPC(), "NAME", "web-servers",
				"BUILTIN", builtin(here), "OTHER", newGroup(t, here, here.OtherVPC(), map[string]string{"cloudfront-ingress": "443"}),
				"DEFAULT", newGroup(t, here, "", nil))
			problem := c.ask(ids, func(query string) (int, string) {
				before := stateOf(here)
				status, answer := post(t, sim, "ec2", query)
				if status != 200 && stateOf(here) != before {
					t.Errorf("%s was refused, and has changed something", query)
				}
				return status, answer
			})
			if problem != "" {
				t.Errorf("%s; see %s", problem, c.page)
			}
		})
	}
}

// ask makes the calls of a case, and says how the last answer differs from what is documented.
func (c documented) ask(ids *strings.Replacer, do func(query string) (status int, answer string)) string {
	var status int
	var answer string
	for _, query := range c.calls {
		status, answer = do(ids.Replace(query))
	}
	return difference(status, answer, c.status, ids, c.want)
}

// stateOf returns all groups and prefix lists of a region.
func stateOf(here ec2sim.Region) string {
	state := fmt.Sprint(here.Groups())
	for _, l := range here.PrefixLists() {
		state += fmt.Sprint(l.Name, l.Version, l.MaxEntries, l.State, l.Tags, l.Entries)
	}
	return state
}

var errorCode = regexp.MustCompile(`<Code>([^<]*)`)

// difference compares an answer with its status and with what should be in it or, after a !, should not.
func difference(status int, answer string, wantStatus int, ids *strings.Replacer, wants []string) string {
	if status != wantStatus && status == http.StatusOK {
		return "it is allowed"
	}
	for _, want := range wants {
		want, absent := strings.CutPrefix(want, "!")
		if strings.Contains(answer, ids.Replace(want)) != absent {
			continue
		}
		if m := errorCode.FindStringSubmatch(answer); m != nil {
			return "the code is " + m[1]
		}
		return fmt.Sprintf("%s in the answer: %t", want, absent)
	}
	if status != wantStatus {
		return fmt.Sprintf("the status is %d", status)
	}
	return ""
}

// The buckets of https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html: how many calls pass at once,
// and how many more for each second of waiting.
func TestDocumentedThrottling(t *testing.T) {
	for query, want := range map[string][2]int{
		"Action=AuthorizeSecurityGroupIngress&GroupId=sg-1":    {50, 5},
		"Action=RevokeSecurityGroupIngress&GroupId=sg-1":       {50, 5},
		"Action=DescribeSecurityGroups":                        {50, 10}, // unfiltered
		"Action=DescribeSecurityGroups&MaxResults=1000":        {100, 20},
		"Action=CreateTags&ResourceId.1=sg-1&Tag.1.Key=a":      {100, 10},
		"Action=DescribeManagedPrefixLists&PrefixListId.1=pl-": {100, 20},
	} {
		now := time.Unix(0, 0)
		sim := ec2sim.New(ec2sim.Options{Throttle: ec2sim.EC2Throttle, Now: func() time.Time { return now }})
		passing := func() (n int) {
			for {
				if _, body := post(t, sim, "ec2", query); strings.Contains(body, "<Code>RequestLimitExceeded</Code>") {
					return n
				}
				n++
			}
		}
		if n := passing(); n != want[0] {
			t.Errorf("%s: %d calls pass at once, not %d", query, n, want[0])
		}
		if now = now.Add(time.Second); passing() != want[1] {
			t.Errorf("%s: not %d calls pass a second later", query, want[1])
		}
	}
}

// builtin returns the default group of the VPC of one's own.
func builtin(here ec2sim.Region) string {
	groups := here.Groups()
	return groups[slices.IndexFunc(groups, func(g ec2sim.Group) bool { return g.Name == "default" && g.VPC == here.OtherVPC() })].ID
}

func newGroup(t *testing.T, here ec2sim.Region, vpc string, tags map[string]string) string {
	t.Helper()
	g, err := here.CreateGroup(ec2sim.Group{Name: "web", VPC: vpc, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	return g.ID
}

// post sends a request of the Query protocol.
func post(t *testing.T, sim *ec2sim.Server, service, query string) (status int, body string) {
	t.Helper()
	return postTo(t, "http://127.0.0.1", sim, service, query)
}

func postTo(t *testing.T, host string, transport http.RoundTripper, service, query string) (status int, body string) {
	t.Helper()
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	params.Set("Version", "2016-11-15")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, host+"/", strings.NewReader(params.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260822/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}
