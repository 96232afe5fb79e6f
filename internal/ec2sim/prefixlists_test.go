package ec2sim_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
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

// added and removed are entries as requests write them.
func added(cidrs ...string) (list []types.AddPrefixListEntry) {
	for _, c := range cidrs {
		cidr, description, _ := strings.Cut(c, " ")
		list = append(list, types.AddPrefixListEntry{Cidr: &cidr, Description: &description})
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

// entries returns the entries of a version as "CIDR description"; zero is the current one.
func (s *sim) entries(id string, version int64) (list []string) {
	s.t.Helper()
	in := &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id, MaxResults: aws.Int32(2)}
	if version > 0 {
		in.TargetVersion = &version
	}
	pages := ec2.NewGetManagedPrefixListEntriesPaginator(s.Client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range page.Entries {
			list = append(list, strings.TrimSpace(*e.Cidr+" "+aws.ToString(e.Description)))
		}
	}
	return list
}

// A change that takes time shows when it is complete, and until then there can be no other.
func TestPrefixListStates(t *testing.T) {
	now := time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	s := start(t, ec2sim.Options{PrefixListDelay: 10 * time.Second, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	id := s.list(5, "192.0.2.0/24")
	var seen []string
	s.Observe(func(c ec2sim.Change) {
		for _, l := range c.PrefixLists {
			seen = append(seen, fmt.Sprintf("%s %s v%d %d", c.Call.Action, l.State, l.Version, len(l.Entries)))
		}
	})
	wantCode(t, s.modify(id, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("198.51.100.0/24")}), "")
	for range 2 {
		if l := s.described(id); l.State != types.PrefixListStateModifyInProgress || *l.Version != 1 || len(s.entries(id, 0)) != 1 {
			t.Errorf("described as %+v", l)
		}
		wantCode(t, s.modify(id, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("203.0.113.0/24")}), "IncorrectState")
		_, err := s.DeleteManagedPrefixList(t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})
		wantCode(t, err, "IncorrectState")
		pass(4 * time.Second)
	}
	pass(2 * time.Second)
	if l := s.described(id); l.State != types.PrefixListStateModifyComplete || *l.Version != 2 || len(s.entries(id, 0)) != 2 {
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
	refer := func(name string, others ...string) string {
		group := s.group("", name)
		wantCode(t, s.authorize(group, types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), PrefixListIds: []types.PrefixListId{{PrefixListId: &id}}}), "")
		if len(others) > 0 {
			wantCode(t, s.authorize(group, tcp(22, others...)), "")
		}
		return group
	}
	refer("roomy", v4(10)...)
	full4, full6 := refer("full", v4(15)...), refer("full6", v6(15)...)
	resize := func(size int32) types.ManagedPrefixList {
		t.Helper()
		wantCode(t, s.modify(id, 0, ec2.ModifyManagedPrefixListInput{MaxEntries: &size}), "")
		return s.described(id)
	}
	if l := resize(45); l.State != types.PrefixListStateModifyComplete || *l.MaxEntries != 45 {
		t.Errorf("got %+v", l)
	}
	if l := resize(46); l.State != types.PrefixListStateModifyFailed || *l.MaxEntries != 45 || !strings.HasSuffix(*l.StateMessage, full4+", "+full6) {
		t.Errorf("got %+v", l)
	}
	wantCode(t, s.authorize(full4, tcp(22, "203.0.113.0/24")), "RulesPerSecurityGroupLimitExceeded")
	if l := resize(44); l.State != types.PrefixListStateModifyComplete || l.StateMessage != nil {
		t.Errorf("got %+v", l)
	}
	wantCode(t, s.authorize(full4, tcp(22, "203.0.113.0/24")), "")

	// It cannot be deleted while they refer to it.
	_, err := s.DeleteManagedPrefixList(t.Context(), &ec2.DeleteManagedPrefixListInput{PrefixListId: &id})
	wantCode(t, err, "")
	if l := s.described(id); l.State != types.PrefixListStateDeleteFailed || l.StateMessage == nil {
		t.Errorf("got %+v", l)
	}
	wantCode(t, s.modify(id, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("198.51.100.0/24")}), "")
}

// https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html
func TestSharedPrefixList(t *testing.T) {
	const member = "444455556666"
	s := start(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: "arn:aws:iam::" + member + ":role/sync"}}})
	id := s.list(10, "192.0.2.0/24")
	own := s.group("", "own", ec2sim.Rule{Permission: ec2sim.Permission{Protocol: "tcp", From: 443, To: 443, Source: ec2sim.Source{Reference: id}}})
	theirs := newGroup(t, s.Region(member, region), "", nil)
	consumer := s.assume(member)
	refer := &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &theirs, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), PrefixListIds: []types.PrefixListId{{PrefixListId: &id}},
	}}}
	_, err := consumer.AuthorizeSecurityGroupIngress(t.Context(), refer)
	wantCode(t, err, "InvalidPrefixListID.NotFound")
	if err := s.here.SharePrefixList(id, member); err != nil {
		t.Fatal(err)
	}
	_, err = consumer.AuthorizeSecurityGroupIngress(t.Context(), refer)
	wantCode(t, err, "")
	lists, err := consumer.DescribeManagedPrefixLists(t.Context(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
	wantCode(t, err, "")
	if l := lists.PrefixLists[0]; *l.OwnerId != ec2sim.DefaultAccount || *l.MaxEntries != 10 {
		t.Errorf("got %+v", l)
	}
	mine, err := consumer.DescribeManagedPrefixLists(t.Context(), &ec2.DescribeManagedPrefixListsInput{Filters: []types.Filter{{Name: aws.String("owner-id"), Values: []string{member}}}})
	wantCode(t, err, "")
	if len(mine.PrefixLists) != 0 {
		t.Errorf("it owns %+v", mine.PrefixLists)
	}

	// It follows the owner's changes, and can make none.
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
	in.ClientToken = aws.String("another")
	_, err = s.CreateManagedPrefixList(t.Context(), in)
	wantCode(t, err, "")
	if n := len(s.here.PrefixLists()); n != 4 {
		t.Errorf("there are %d lists", n)
	}
}
