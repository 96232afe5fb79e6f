package ec2sim_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"cloudfront-sg-sync/internal/ec2sim"
)

// added are entries as requests write them.
func added(cidrs ...string) (list []types.AddPrefixListEntry) {
	for _, c := range cidrs {
		list = append(list, types.AddPrefixListEntry{Cidr: &c})
	}
	return list
}

// list creates a prefix list of IPv4 ranges by hand.
func (s *sim) list(maxEntries int, cidrs ...string) string {
	s.t.Helper()
	l := ec2sim.PrefixList{Name: "cloudfront", Family: "IPv4", MaxEntries: maxEntries}
	for _, c := range cidrs {
		l.Entries = append(l.Entries, ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix(c)})
	}
	created, err := s.here.CreatePrefixList(l)
	if err != nil {
		s.t.Fatal(err)
	}
	return created.ID
}

func (s *sim) modify(id string, version int64, in ec2.ModifyManagedPrefixListInput) error {
	in.PrefixListId = &id
	if version > 0 {
		in.CurrentVersion = &version
	}
	_, err := s.ModifyManagedPrefixList(s.t.Context(), &in)
	return err
}

// described returns a prefix list as EC2 describes it.
func (s *sim) described(id string) types.ManagedPrefixList {
	s.t.Helper()
	out, err := s.DescribeManagedPrefixLists(s.t.Context(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.PrefixLists[0]
}

// A change that takes time shows when it is complete, and until then there can be no other.
func TestPrefixListStates(t *testing.T) {
	var seconds atomic.Int64
	s := start(t, ec2sim.Options{PrefixListDelay: 10 * time.Second, Now: func() time.Time { return time.Unix(seconds.Load(), 0) }})
	id := s.list(5, "192.0.2.0/24")
	var seen []string
	s.Observe(func(c ec2sim.Change) {
		for _, l := range c.PrefixLists {
			seen = append(seen, fmt.Sprintf("%s %s v%d %d", c.Call.Action, l.State, l.Version, len(l.Entries)))
		}
	})
	add := ec2.ModifyManagedPrefixListInput{AddEntries: added("198.51.100.0/24")}
	wantCode(t, s.modify(id, 1, add), "")
	for _, now := range []int64{0, 9} {
		seconds.Store(now)
		if l := s.described(id); l.State != types.PrefixListStateModifyInProgress || *l.Version != 1 {
			t.Errorf("described as %+v", l)
		}
		wantCode(t, s.modify(id, 1, add), "IncorrectState")
		_, err := s.DeleteManagedPrefixList(t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})
		wantCode(t, err, "IncorrectState")
	}
	seconds.Store(10)
	if l := s.described(id); l.State != types.PrefixListStateModifyComplete || *l.Version != 2 {
		t.Errorf("described as %+v", l)
	}
	want := []string{"ModifyManagedPrefixList modify-in-progress v1 1", " modify-complete v2 2"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// Nobody edits the entries that an IPAM resolver manages.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html
func TestSyncedPrefixList(t *testing.T) {
	s := start(t, ec2sim.Options{})
	wantCode(t, s.Seed(strings.NewReader(`{"prefixLists": [{"name": "ipam", "maxEntries": 2, "ipamPrefixListResolverSyncEnabled": true}]}`)), "")
	plain, lists := s.list(2), s.here.PrefixLists()
	synced := lists[len(lists)-2].ID
	if !*s.described(synced).IpamPrefixListResolverSyncEnabled || *s.described(plain).IpamPrefixListResolverSyncEnabled {
		t.Errorf("got %+v and %+v", s.described(synced), s.described(plain))
	}
	wantCode(t, s.modify(synced, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("192.0.2.0/24")}), "OperationNotPermitted")
	wantCode(t, s.modify(plain, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("192.0.2.0/24")}), "")
}

// The size of a list weighs on each group that refers to it, in both families. Where one has no room, the size stays,
// and the list says where.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/work-with-cust-managed-prefix-lists.html#modify-managed-prefix-list
func TestPrefixListSize(t *testing.T) {
	s := start(t, ec2sim.Options{})
	id := s.list(40, "192.0.2.0/24")
	var groups []string
	for name, others := range map[string][]string{"roomy": v4(10), "full": v4(15), "full6": v6(15)} {
		group := s.group("", name)
		wantCode(t, s.authorize(group, toList(id), tcp(22, others...)), "")
		if name != "roomy" {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	for _, c := range []struct{ size, after int32 }{{45, 45}, {46, 45}, {44, 44}} {
		wantCode(t, s.modify(id, 0, ec2.ModifyManagedPrefixListInput{MaxEntries: &c.size}), "")
		state, message := types.PrefixListStateModifyComplete, ""
		if c.size != c.after {
			state, message = types.PrefixListStateModifyFailed, strings.Join(groups, ", ")
		}
		if l := s.described(id); l.State != state || *l.MaxEntries != c.after || !strings.HasSuffix(aws.ToString(l.StateMessage), message) {
			t.Errorf("%d: got %+v", c.size, l)
		}
	}
}

// A list that another account shares can be referred to, follows its owner's changes, and cannot be changed.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html
func TestSharedPrefixList(t *testing.T) {
	const member = "444455556666"
	s := start(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: "arn:aws:iam::" + member + ":role/sync"}}})
	id := s.list(10, "192.0.2.0/24")
	own, theirs := s.group("", "own"), newGroup(t, s.Region(member, region), "", nil)
	wantCode(t, s.authorize(own, toList(id)), "")
	consumer := s.assume(member)
	refer := &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &theirs, IpPermissions: []types.IpPermission{toList(id)}}
	_, err := consumer.AuthorizeSecurityGroupIngress(t.Context(), refer)
	wantCode(t, err, "InvalidPrefixListID.NotFound")
	wantCode(t, s.here.SharePrefixList(id, member), "")
	_, err = consumer.AuthorizeSecurityGroupIngress(t.Context(), refer)
	wantCode(t, err, "")
	mine, err := consumer.DescribeManagedPrefixLists(t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: filtered("owner-id", member)})
	wantCode(t, err, "")
	if len(mine.PrefixLists) != 0 {
		t.Errorf("it owns %+v", mine.PrefixLists)
	}
	wantCode(t, s.modify(id, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("198.51.100.0/24")}), "")
	entries, err := consumer.GetManagedPrefixListEntries(t.Context(), &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id})
	wantCode(t, err, "")
	if len(entries.Entries) != 2 {
		t.Errorf("got %+v", entries.Entries)
	}
	for name, err := range map[string]error{
		"modify":       second(consumer.ModifyManagedPrefixList(t.Context(), &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, CurrentVersion: aws.Int64(2), AddEntries: added("203.0.113.0/24")})),
		"delete":       second(consumer.DeleteManagedPrefixList(t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})),
		"associations": second(consumer.GetManagedPrefixListAssociations(t.Context(), &ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &id})),
		"tag":          second(consumer.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})),
	} {
		if codeOf(err) != "UnauthorizedOperation" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The owner sees who refers to it, in whatever account.
	out, err := s.GetManagedPrefixListAssociations(t.Context(), &ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &id})
	wantCode(t, err, "")
	var got []string
	for _, a := range out.PrefixListAssociations {
		got = append(got, *a.ResourceId+" of "+*a.ResourceOwner)
	}
	if diff := cmp.Diff([]string{own + " of " + ec2sim.DefaultAccount, theirs + " of " + member}, got); diff != "" {
		t.Error(diff)
	}
}

// toList is a permission of everything from a prefix list.
func toList(id string) types.IpPermission {
	return types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &id}}}
}

func second[T any](_ T, err error) error { return err }

// assume returns a client of another account, whose role sync may be assumed.
func (s *sim) assume(account string) *ec2.Client {
	s.t.Helper()
	config := awsConfig(region)
	authority := sts.NewFromConfig(config, func(o *sts.Options) { o.BaseEndpoint = &s.url })
	config.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(authority, "arn:aws:iam::"+account+":role/sync"))
	return ec2.NewFromConfig(config, func(o *ec2.Options) { o.BaseEndpoint = &s.url })
}

// A client that does not know whether its list was created asks again with the same token, and gets the same list.
//
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func TestCreatePrefixListOnce(t *testing.T) {
	s := start(t, ec2sim.Options{})
	in := &ec2.CreateManagedPrefixListInput{PrefixListName: aws.String("a"), AddressFamily: aws.String("IPv6"), MaxEntries: aws.Int32(1), ClientToken: aws.String("token")}
	s.Inject(ec2sim.Fault{Kind: ec2sim.CutAfter, Action: "CreateManagedPrefixList"})
	if _, err := s.CreateManagedPrefixList(t.Context(), in); err == nil {
		t.Fatal("the answer was not cut")
	}
	out, err := s.CreateManagedPrefixList(t.Context(), in)
	wantCode(t, err, "")
	lists := s.here.PrefixLists()
	if last := lists[len(lists)-1]; len(lists) != 3 || last.ID != *out.PrefixList.PrefixListId {
		t.Errorf("there are %d lists", len(lists))
	}
}
