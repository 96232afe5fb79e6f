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
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
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
	synced, err := s.here.CreatePrefixList(ec2sim.PrefixList{Name: "ipam", MaxEntries: 2, Synced: true})
	wantCode(t, err, "")
	for id, code := range map[string]string{synced.ID: "OperationNotPermitted", s.list(2): ""} {
		if l := s.described(id); *l.IpamPrefixListResolverSyncEnabled != (code != "") {
			t.Errorf("got %+v", l)
		}
		wantCode(t, s.modify(id, 1, ec2.ModifyManagedPrefixListInput{AddEntries: added("192.0.2.0/24")}), code)
	}
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
			state, message = types.PrefixListStateModifyFailed, groups[0]
		}
		if l := s.described(id); l.State != state || *l.MaxEntries != c.after || !strings.HasSuffix(aws.ToString(l.StateMessage), message) {
			t.Errorf("%d: got %+v", c.size, l)
		}
	}
}

// A list that another account shares can be referred to, follows its owner's changes, and cannot be changed. Its owner
// sees who refers to it.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/sharing-managed-prefix-lists.html
func TestSharedPrefixList(t *testing.T) {
	const hub = "444455556666"
	s := start(t, ec2sim.Options{})
	there := s.Region(hub, region)
	l, err := there.CreatePrefixList(ec2sim.PrefixList{Name: "office", Family: "IPv4", MaxEntries: 10})
	wantCode(t, err, "")
	own := s.group("", "own")
	wantCode(t, s.authorize(own, toList(l.ID)), "InvalidPrefixListID.NotFound")
	wantCode(t, there.SharePrefixList(l.ID, ec2sim.DefaultAccount), "")
	wantCode(t, s.authorize(own, toList(l.ID)), "")
	wantCode(t, there.SetEntries(l.ID, ec2sim.PrefixListEntry{Prefix: netip.MustParsePrefix("192.0.2.0/24")}), "")
	if d := s.described(l.ID); *d.OwnerId != hub || *d.Version != 2 {
		t.Errorf("described as %+v", d)
	}
	wantCode(t, s.modify(l.ID, 2, ec2.ModifyManagedPrefixListInput{AddEntries: added("203.0.113.0/24")}), "UnauthorizedOperation")
	_, err = s.GetManagedPrefixListAssociations(t.Context(), &ec2.GetManagedPrefixListAssociationsInput{PrefixListId: &l.ID})
	wantCode(t, err, "UnauthorizedOperation")
}

// toList is a permission of everything from a prefix list.
func toList(id string) types.IpPermission {
	return types.IpPermission{IpProtocol: aws.String("-1"), PrefixListIds: []types.PrefixListId{{PrefixListId: &id}}}
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
