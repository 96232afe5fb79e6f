package ec2sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A documented case has bare requests of calls that this project makes, and the answer to the last of them as the AWS
// documentation has it. OTHER is a group in a VPC of one's own, BUILTIN that VPC's default group,
// DEFAULT a group in the default VPC, and LIST a prefix list.
type documented struct {
	name, page string
	calls      []string // the last one counts
	status     int
	want       []string // in the last answer; after a ! not in it
}

func documentedCases() []documented {
	const (
		api        = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
		errorsDoc  = api + "errors-overview.html"
		quotas     = "https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html"
		filtering  = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html"
		rule       = "&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443&IpPermissions.1.IpRanges.1.CidrIp="
		base       = "Action=AuthorizeSecurityGroupIngress&GroupId=OTHER&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443"
		authorize  = "Action=AuthorizeSecurityGroupIngress&GroupId=OTHER" + rule
		revoke     = "Action=RevokeSecurityGroupIngress&GroupId=OTHER" + rule
		describe   = "Action=DescribeSecurityGroups"
		modifyList = "Action=ModifyManagedPrefixList&PrefixListId=LIST&CurrentVersion=1"
		next       = "Action=ModifyManagedPrefixList&PrefixListId=LIST&CurrentVersion=2"
		addEntry   = "&AddEntry.1.Cidr=192.0.2.0/24"
		all        = "Action=AuthorizeSecurityGroupIngress&GroupId=OTHER&IpPermissions.1.IpProtocol=-1&IpPermissions.1."
		create     = "Action=CreateSecurityGroup&GroupName="
		tag        = "Action=CreateTags&ResourceId.1=OTHER"
		untag      = "Action=DeleteTags&ResourceId.1=OTHER"
		createList = "Action=CreateManagedPrefixList&PrefixListName=office&MaxEntries=5&AddressFamily="
		tf         = "https://github.com/hashicorp/terraform-provider-aws"
		modified   = tf + "/blob/main/internal/service/ec2/vpc_managed_prefix_list.go"
		redescr    = "Action=UpdateSecurityGroupRuleDescriptionsIngress&GroupId=OTHER" + rule
	)
	inDefault := func(query string) string { return strings.Replace(query, "OTHER", "DEFAULT", 1) }
	return []documented{
		{"a rule that is there in canonical form", api + "API_IpRange.html", []string{authorize + "192.0.2.0/24", authorize + "192.0.2.77/24"}, 400, []string{"<Code>InvalidPermission.Duplicate</Code>"}},
		{"one of many is there", errorsDoc, []string{authorize + "192.0.2.0/24", authorize + "198.51.100.0/24&IpPermissions.1.IpRanges.2.CidrIp=192.0.2.0/24"}, 400, []string{"<Code>InvalidPermission.Duplicate</Code>"}},
		{"twice in one request", "https://github.com/aws/aws-sdk-go/issues/1340", []string{authorize + "192.0.2.0/24&IpPermissions.1.IpRanges.2.CidrIp=192.0.2.9/24"}, 400, []string{"<Code>InvalidParameterValue</Code>", "must not appear multiple times"}},
		{"host bits are cleared", api + "API_IpRange.html", []string{authorize + "192.0.2.99/24", describe + "&GroupId.1=OTHER"}, 200, []string{"<cidrIp>192.0.2.0/24</cidrIp>", "<fromPort>443</fromPort>", "<groupId>OTHER</groupId>"}},
		{"port 70000", api + "API_IpPermission.html", []string{strings.ReplaceAll(authorize, "443", "70000") + "192.0.2.0/24"}, 400, []string{"out of range"}},
		{"a character that descriptions may not have", api + "API_IpRange.html", []string{authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=naïve"}, 400, []string{"Invalid rule description"}},
		{"the characters that they may have", api + "API_IpRange.html", []string{authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=" + url.QueryEscape("aZ0. _-:/()#,@[]+=&;{}!$*"), describe + "&GroupId.1=OTHER"}, 200, []string{"<description>aZ0. _-:/()#,@[]+=&amp;;{}!$*</description>"}},
		{"an unknown prefix list as a source", errorsDoc, []string{all + "PrefixListIds.1.PrefixListId=pl-00000000000000000"}, 400, []string{"<Code>InvalidPrefixListID.NotFound</Code>"}},
		{"a group of another VPC as a source", "https://github.com/ansible/ansible/issues/45782", []string{all + "Groups.1.GroupId=DEFAULT"}, 400, []string{"<Code>InvalidGroup.NotFound</Code>"}},
		{"a group as a source", api + "API_IpPermission.html", []string{all + "Groups.1.GroupId=OTHER&IpPermissions.1.Groups.1.Description=peers", describe + "&GroupId.1=OTHER"}, 200, []string{"<userId>" + ec2sim.DefaultAccount + "</userId><groupId>OTHER</groupId><description>peers"}},
		{"no source", api + "API_IpPermission.html", []string{strings.TrimSuffix(authorize, "&IpPermissions.1.IpRanges.1.CidrIp=")}, 400, []string{"<Code>MissingParameter</Code>"}},
		{"no rule", errorsDoc, []string{"Action=AuthorizeSecurityGroupIngress&GroupId=OTHER"}, 400, []string{"<Code>MissingParameter</Code>"}},
		{"a prefix list as a source", api + "API_IpPermission.html", []string{modifyList + "&MaxEntries=5", all + "PrefixListIds.1.PrefixListId=LIST", describe + "&GroupId.1=OTHER"}, 200, []string{"<prefixListId>LIST</prefixListId>"}},
		{"revoke what is partly there, in a VPC of one's own", api + "API_RevokeSecurityGroupIngress.html", []string{authorize + "18.64.0.0/14", revoke + "18.64.0.0/14&IpPermissions.1.IpRanges.2.CidrIp=52.84.0.0/15"}, 400, []string{"<Code>InvalidPermission.NotFound</Code>"}},
		{"revoke what is there and what is not, in the default VPC", api + "API_RevokeSecurityGroupIngress.html", []string{inDefault(authorize) + "18.64.0.0/14", inDefault(revoke) + "18.64.0.0/14&IpPermissions.1.IpRanges.2.CidrIp=52.84.0.0/15"}, 200, []string{"<unknownIpPermissionSet><item><ipProtocol>tcp", "<cidrIp>52.84.0.0/15", "!18.64.0.0/14"}},
		{"a group no longer lets everything out", api + "API_RevokeSecurityGroupEgress.html", []string{strings.Replace(strings.Replace(all, "Authorize", "Revoke", 1), "Ingress", "Egress", 1) + "IpRanges.1.CidrIp=0.0.0.0/0", describe + "&GroupId.1=OTHER"}, 200, []string{"<ipPermissionsEgress></ipPermissionsEgress>"}},
		{"a group is created", api + "API_CreateSecurityGroup.html", []string{create + "NAME&GroupDescription=a&TagSpecification.1.ResourceType=security-group&TagSpecification.1.Tag.1.Key=team&TagSpecification.1.Tag.1.Value=shop", describe + "&Filter.1.Name=tag:team&Filter.1.Value.1=shop"}, 200, []string{"<groupName>NAME</groupName>", "<cidrIp>0.0.0.0/0</cidrIp>"}},
		{"tags for something else", api + "API_CreateSecurityGroup.html", []string{create + "NAME&GroupDescription=a&TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=team"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"a name like an ID", api + "API_CreateSecurityGroup.html", []string{create + "sg-NAME&GroupDescription=a"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"a group that another refers to is not deleted", api + "API_DeleteSecurityGroup.html", []string{strings.Replace(all, "OTHER", "BUILTIN", 1) + "Groups.1.GroupId=OTHER", "Action=DeleteSecurityGroup&GroupId=OTHER"}, 400, []string{"<Code>DependencyViolation</Code>"}},
		{"the default group is not deleted", api + "API_DeleteSecurityGroup.html", []string{"Action=DeleteSecurityGroup&GroupId=BUILTIN"}, 400, []string{"<Code>CannotDelete</Code>"}},
		{"a filter that there is not", filtering, []string{describe + "&Filter.1.Name=colour&Filter.1.Value.1=red"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"a rule is its protocol, ports and source: there twice is an error", errorsDoc, []string{authorize + "18.64.0.0/14", authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=other"}, 400, []string{"<Code>InvalidPermission.Duplicate</Code>"}},
		{"authorize is all or nothing", errorsDoc, []string{authorize + "18.64.0.0/14", authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.2.CidrIp=52.84.0.0/15", describe + "&GroupId.1=OTHER"}, 200, []string{"18.64.0.0/14", "!52.84.0.0/15"}},
		{"61 rules of a family", quotas, []string{base + moreRanges(61)}, 400, []string{"<Code>RulesPerSecurityGroupLimitExceeded</Code>"}},
		{"families are counted apart", quotas, []string{base + moreRanges(60), strings.Replace(authorize, "IpRanges.1.CidrIp=", "Ipv6Ranges.1.CidrIpv6=", 1) + "2600:9000::/28", describe + "&GroupId.1=OTHER"}, 200, []string{"2600:9000::/28"}},
		{"a description of 256 characters", api + "API_IpRange.html", []string{authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=" + strings.Repeat("a", 256)}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"revoke, the description left out", api + "API_RevokeSecurityGroupIngress.html", []string{authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=any", revoke + "18.64.0.0/14"}, 200, []string{"<return>true</return>"}},
		{"a new description", api + "API_UpdateSecurityGroupRuleDescriptionsIngress.html", []string{authorize + "18.64.0.0/14", redescr + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=new", describe + "&GroupId.1=OTHER"}, 200, []string{"<description>new</description>"}},
		{"no description removes it", api + "API_UpdateSecurityGroupRuleDescriptionsIngress.html", []string{authorize + "18.64.0.0/14&IpPermissions.1.IpRanges.1.Description=old", redescr + "18.64.0.0/14", describe + "&GroupId.1=OTHER"}, 200, []string{"!<description>old"}},
		{"no pages with IDs", api + "API_DescribeSecurityGroups.html", []string{describe + "&GroupId.1=OTHER&MaxResults=5"}, 400, []string{"<Code>InvalidParameterCombination</Code>"}},
		{"tag-key matches whatever the value", api + "API_DescribeSecurityGroups.html", []string{describe + "&Filter.1.Name=tag-key&Filter.1.Value.1=cloudfront-ingress"}, 200, []string{"OTHER", "!DEFAULT"}},
		{"* and ? are wildcards", filtering, []string{describe + "&Filter.1.Name=tag-key&Filter.1.Value.1=cloud*ingres?"}, 200, []string{"OTHER"}},
		{"filter values are case-sensitive", filtering, []string{describe + "&Filter.1.Name=tag-key&Filter.1.Value.1=Cloudfront-ingress"}, 200, []string{"!OTHER"}},
		{"201 values of filters", "https://github.com/gjbae1212/gossm/issues/31", []string{describe + "&Filter.1.Name=group-name" + many(201, "&Filter.1.Value.%d=%s", v4)}, 400, []string{"<Code>FilterLimitExceeded</Code>"}},
		{"a dry run", api + "CommonParameters.html", []string{authorize + "18.64.0.0/14&DryRun=true"}, 412, []string{"<Code>DryRunOperation</Code>"}},
		{"no such action", errorsDoc, []string{"Action=OpenTheDoor"}, 400, []string{"<Code>InvalidAction</Code>"}},
		{"an unknown parameter", errorsDoc, []string{describe + "&Colour=blue"}, 400, []string{"<Code>UnknownParameter</Code>"}},
		{"60 of a family and a group", quotas, []string{base + moreRanges(60), all + "Groups.1.GroupId=OTHER"}, 400, []string{"<Code>RulesPerSecurityGroupLimitExceeded</Code>"}},
		{"6 and AWS's list", quotas, []string{base + moreRanges(6), all + "PrefixListIds.1.PrefixListId=AWSLIST"}, 400, []string{"<Code>RulesPerSecurityGroupLimitExceeded</Code>"}},
		{"a tag is replaced", api + "API_CreateTags.html", []string{tag + "&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b", tag + "&Tag.1.Key=a&Tag.1.Value=2", describe + "&GroupId.1=OTHER"}, 200, []string{"<key>a</key><value>2</value>", "<key>b</key><value></value>"}},
		{"a reserved tag", api + "API_CreateTags.html", []string{tag + "&Tag.1.Key=aws:a&Tag.1.Value=1"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"a tag of one resource that there is and one that there is not", api + "API_CreateTags.html", []string{tag + "&ResourceId.2=sg-00000000000000000&Tag.1.Key=a"}, 400, []string{"<Code>InvalidGroup.NotFound</Code>"}},
		{"51 tags", api + "API_CreateTags.html", []string{tag + tags(50)}, 400, []string{"<Code>TagLimitExceeded</Code>"}},
		{"a tag with another value is not deleted", api + "API_DeleteTags.html", []string{tag + "&Tag.1.Key=one&Tag.2.Key=two", untag + "&Tag.1.Key=one&Tag.1.Value=1&Tag.2.Key=two", describe + "&GroupId.1=OTHER"}, 200, []string{"<key>one", "!<key>two"}},
		{"the entries of a version before", api + "API_GetManagedPrefixListEntries.html", []string{modifyList + addEntry, "Action=GetManagedPrefixListEntries&PrefixListId=LIST&TargetVersion=1"}, 200, []string{"!<cidr>"}},
		{"no such version", api + "API_GetManagedPrefixListEntries.html", []string{"Action=GetManagedPrefixListEntries&PrefixListId=LIST&TargetVersion=2"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"entries and size not at once", api + "API_ModifyManagedPrefixList.html", []string{modifyList + entries("AddEntry", 1) + "&MaxEntries=200"}, 400, []string{"<Code>InvalidParameterCombination</Code>"}},
		{"a list that is referred to cannot be deleted", api + "API_DeleteManagedPrefixList.html", []string{
			"Action=ModifyManagedPrefixList&PrefixListId=LIST&MaxEntries=1",
			"Action=AuthorizeSecurityGroupIngress&GroupId=OTHER&IpPermissions.1.IpProtocol=-1&IpPermissions.1.PrefixListIds.1.PrefixListId=LIST",
			"Action=DeleteManagedPrefixList&PrefixListId=LIST", "Action=DescribeManagedPrefixLists&PrefixListId.1=LIST",
		}, 200, []string{"<state>delete-failed</state>"}},
		{"the size counts, not the entries", "https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html", []string{"Action=AuthorizeSecurityGroupIngress&GroupId=OTHER&IpPermissions.1.IpProtocol=-1&IpPermissions.1.PrefixListIds.1.PrefixListId=LIST"}, 400, []string{"<Code>RulesPerSecurityGroupLimitExceeded</Code>"}},
		{"no version", api + "API_ModifyManagedPrefixList.html", []string{strings.Replace(modifyList, "&CurrentVersion=1", "", 1) + entries("AddEntry", 1)}, 400, []string{"<Code>MissingParameter</Code>"}},
		{"no change", errorsDoc, []string{modifyList}, 400, []string{"<Code>InvalidRequest</Code>"}},
		{"an entry that is there", tf + "/issues/29204", []string{modifyList + addEntry, next + addEntry}, 400, []string{"<Code>InvalidPrefixListModification</Code>"}},
		{"an entry that is there, with another description", modified, []string{modifyList + addEntry, next + addEntry + "&AddEntry.1.Description=new"}, 400, []string{"<Code>InvalidRequest</Code>"}},
		{"an entry removed and added", modified, []string{modifyList + addEntry, next + addEntry + "&RemoveEntry.1.Cidr=192.0.2.0/24"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"an entry that is not there", modified, []string{modifyList + entries("RemoveEntry", 1)}, 400, []string{"<Code>InvalidPrefixListModification</Code>"}},
		{"more entries than the size", api + "API_ModifyManagedPrefixList.html", []string{modifyList + entries("AddEntry", 100), next + addEntry + "&AddEntry.2.Cidr=198.51.100.0/24"}, 400, []string{"<Code>PrefixListMaxEntriesExceeded</Code>"}},
		{"100 for 100 others", api + "API_ModifyManagedPrefixList.html", []string{modifyList + entries("AddEntry", 100), next + entries("RemoveEntry", 100) + addEntry + "&AddEntry.2.Cidr=198.51.100.0/24", "Action=GetManagedPrefixListEntries&PrefixListId=LIST"}, 200, []string{"<cidr>192.0.2.0/24</cidr>", "<cidr>198.51.100.0/24</cidr>", "!<cidr>10."}},
		{"a size below the entries", api + "API_ModifyManagedPrefixList.html", []string{modifyList + entries("AddEntry", 100), next + "&MaxEntries=99"}, 400, []string{"<Code>PrefixListMaxEntriesExceeded</Code>"}},
		{"a name of AWS", api + "API_CreateManagedPrefixList.html", []string{strings.Replace(createList, "office", "com.amazonaws.a", 1) + "IPv4"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"a list of AWS", "https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html", []string{strings.Replace(modifyList, "LIST", "AWSLIST", 1) + addEntry}, 403, []string{"<Code>UnauthorizedOperation</Code>"}},
		{"the state of a new list", "https://docs.aws.amazon.com/cli/latest/reference/ec2/create-managed-prefix-list.html", []string{createList + "IPv4&Entry.1.Cidr=192.0.2.0/24"}, 200, []string{"<state>create-in-progress</state>", "<version>1</version>"}},
		{"a list by its tag", tf, []string{"Action=CreateTags&ResourceId.1=LIST&Tag.1.Key=key-NAME&Tag.1.Value=ranges", "Action=DescribeManagedPrefixLists&Filter.1.Name=tag-key&Filter.1.Value.1=key-NAME"}, 200, []string{"LIST", "!AWSLIST"}},
		{"a list is deleted", api + "API_DeleteManagedPrefixList.html", []string{"Action=DeleteManagedPrefixList&PrefixListId=LIST", "Action=DescribeManagedPrefixLists&Filter.1.Name=prefix-list-id&Filter.1.Value.1=LIST"}, 200, []string{"!create-complete", "!LIST"}},
		{"who refers to a list", api + "API_GetManagedPrefixListAssociations.html", []string{modifyList + "&MaxEntries=5", all + "PrefixListIds.1.PrefixListId=LIST", "Action=GetManagedPrefixListAssociations&PrefixListId=LIST"}, 200, []string{"<resourceId>OTHER</resourceId>"}},
		{"at most 100 lists a page", api + "API_DescribeManagedPrefixLists.html", []string{"Action=DescribeManagedPrefixLists&MaxResults=101"}, 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"no version of AWS's lists", "https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html", []string{"Action=DescribeManagedPrefixLists&Filter.1.Name=owner-id&Filter.1.Value.1=AWS"}, 200, []string{"!<version>", "!<maxEntries>"}},
	}
}

func TestDocumented(t *testing.T) {
	for _, c := range documentedCases() {
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

// many are n parameters: the format has the number of one, and what is different about it.
func many(n int, format string, values func(n int) []string) (query string) {
	for i, v := range values(n) {
		query += fmt.Sprintf(format, i+1, v)
	}
	return query
}

func moreRanges(n int) string { return many(n, "&IpPermissions.1.IpRanges.%d.CidrIp=%s", v4) }

func entries(parameter string, n int) string { return many(n, "&"+parameter+".%d.Cidr=%s", v4) }

func tags(n int) string { return many(n, "&Tag.%d.Key=key-%s", v6) }

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
