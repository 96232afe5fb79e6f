package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/moto"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// motoWorld is the function's world with an EC2 that nobody here has written.
type motoWorld struct {
	*world
	token         int // of the published file
	f             *runtime
	groups, lists []string
}

func newMotoWorld(t *testing.T) *motoWorld {
	w := &motoWorld{world: newWorld(t, ec2sim.Options{}, ""), token: 1790000000}
	w.url = moto.Start(t)
	w.ec2 = newEC2(w.url)
	return w
}

func (w *motoWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish makes a newer file of the ranges.
func (w *motoWorld) publish(ranges string) {
	w.token += 3600
	var v4, v6 []string
	for r := range strings.FieldsSeq(ranges) {
		if strings.Contains(r, ":") {
			v6 = append(v6, fmt.Sprintf(`{"ipv6_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT"}`, r))
		} else {
			v4 = append(v4, fmt.Sprintf(`{"ip_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT"}`, r))
		}
	}
	document := fmt.Sprintf(`{"syncToken":"%d","prefixes":[%s],"ipv6_prefixes":[%s]}`,
		w.token, strings.Join(v4, ","), strings.Join(v6, ","))
	w.document.Store(&document)
}

// sync publishes the ranges, has the function sync them, and checks that exactly they get in.
func (w *motoWorld) sync(ranges string) {
	w.t.Helper()
	w.publish(ranges)
	w.f.succeed("{}")
	w.check(ranges)
}

// list makes a tagged prefix list.
func (w *motoWorld) list(family string, size int32) string {
	w.t.Helper()
	out, err := w.ec2.CreateManagedPrefixList(w.t.Context(), &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String("cloudfront"), AddressFamily: &family, MaxEntries: &size,
		TagSpecifications: tagged(types.ResourceTypePrefixList, map[string]string{tagKey: "ranges"}),
	})
	w.must(err)
	return *out.PrefixList.PrefixListId
}

const tagKey = "cloudfront-ingress"

// entries returns the entries of the lists, sorted, and their versions.
func (w *motoWorld) entries() (entries string, versions []int64) {
	w.t.Helper()
	var all []string
	for _, id := range w.lists {
		out, err := w.ec2.GetManagedPrefixListEntries(w.t.Context(), &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id})
		w.must(err)
		for _, e := range out.Entries {
			all = append(all, *e.Cidr)
		}
		described, err := w.ec2.DescribeManagedPrefixLists(w.t.Context(),
			&ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
		w.must(err)
		versions = append(versions, *described.PrefixLists[0].Version)
	}
	return sorted(all), versions
}

// sources returns what the rules of the groups let in on port 443, sorted.
func (w *motoWorld) sources() string {
	w.t.Helper()
	out, err := w.ec2.DescribeSecurityGroups(w.t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: w.groups})
	w.must(err)
	var all []string
	for _, g := range out.SecurityGroups {
		for _, p := range g.IpPermissions {
			if aws.ToInt32(p.FromPort) != 443 {
				continue
			}
			for _, r := range p.IpRanges {
				all = append(all, *r.CidrIp)
			}
			for _, r := range p.Ipv6Ranges {
				all = append(all, *r.CidrIpv6)
			}
		}
	}
	return sorted(all)
}

func sorted(prefixes []string) string {
	slices.SortFunc(prefixes, func(a, b string) int { return netip.MustParsePrefix(a).Compare(netip.MustParsePrefix(b)) })
	return strings.Join(prefixes, " ")
}

// authorize and revoke change the first group as somebody else would.
func (w *motoWorld) authorize(cidr, description string) {
	w.t.Helper()
	_, err := w.ec2.AuthorizeSecurityGroupIngress(w.t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: &w.groups[0], IpPermissions: permission(cidr, description),
	})
	w.must(err)
}

func (w *motoWorld) revoke(cidr string) {
	w.t.Helper()
	_, err := w.ec2.RevokeSecurityGroupIngress(w.t.Context(), &ec2.RevokeSecurityGroupIngressInput{
		GroupId: &w.groups[0], IpPermissions: permission(cidr, ""),
	})
	w.must(err)
}

func permission(cidr, description string) []types.IpPermission {
	return []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
		IpRanges: []types.IpRange{{CidrIp: &cidr, Description: &description}},
	}}
}

// The function on an EC2 that nobody here has written, with groups and lists: first sync, nothing to do, a published
// change, drift, shortage of the groups, resync once that is mended, and none.
//
// Where moto is not as the embedded endpoint, AWS is as that one is:
//   - moto forgets the name of a list that is changed without giving it. "Name: A
//     name for the prefix list … Required: No":
//     https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyManagedPrefixList.html
//   - It adds an entry that is there already once more if that has another
//     description, and more than MaxEntries; AWS takes neither, see motoCases in
//     internal/ec2sim. The function asks for neither.
func TestFunctionOnMoto(t *testing.T) {
	w := newMotoWorld(t)
	w.publish("18.64.0.0/16 52.84.0.0/15 2600:9000::/28")
	pool := map[string]string{tagKey: "443", tagKey + "-pool": "web"}
	w.groups = []string{w.group("web", pool)}
	w.lists = []string{w.list("IPv4", 5), w.list("IPv6", 2)}
	w.f = w.start(map[string]string{"RULES_PER_GROUP": "3"})

	if rep := w.f.succeed("{}"); !rep.Changed || rep.Summary.Added != 3 || len(rep.PrefixLists) != 2 {
		t.Errorf("first sync: %+v", rep)
	}
	w.check("18.64.0.0/16 52.84.0.0/15 2600:9000::/28")
	w.sync("18.64.0.0/16 52.84.0.0/16 2600:9000::/28 2a01:111::/32")

	// After a file that only takes away, a copy of the one before it is refused.
	before := *w.document.Load()
	w.sync("18.64.0.0/16 52.84.0.0/16 2600:9000::/28")
	newest := w.document.Swap(&before)
	if message := w.f.fail("{}"); !strings.Contains(message, "of "+w.groups[0]+" was made from a newer one") {
		t.Errorf("an older file: %s", message)
	}
	if got := w.sources(); got != "18.64.0.0/16 52.84.0.0/16 2600:9000::/28" {
		t.Errorf("an older file: the groups let in %q", got)
	}
	w.document.Store(newest)
	w.f.succeed("{}") // a removal leaves no date in a list, so the older file has filled it again

	w.drift()
	w.f.succeed("{}")
	w.check("18.64.0.0/16 52.84.0.0/16 2600:9000::/28")

	// Four ranges where there is room for three, until there is another group.
	w.publish("18.64.0.0/16 52.84.0.0/16 99.84.0.0/16 108.156.0.0/16 2600:9000::/28 2a01:111::/32")
	short := `pool "web" is too small: port 443 needs 4 IPv4 rules, room for 3`
	if message := w.f.fail("{}"); !strings.Contains(message, short) {
		t.Errorf("shortage: it lacks %q: %s", short, message)
	}
	if got := w.sources(); got != "18.64.0.0/16 52.84.0.0/16 99.84.0.0/16 2600:9000::/28 2a01:111::/32" {
		t.Errorf("shortage: the groups let in %q", got)
	}
	w.groups = append(w.groups, w.group("web-2", pool))
	w.f.succeed("{}")
	w.check("18.64.0.0/16 52.84.0.0/16 99.84.0.0/16 108.156.0.0/16 2600:9000::/28 2a01:111::/32")

	// The rules of others stay.
	w.authorize("192.0.2.0/24", "office")
	none := []types.Tag{{Key: aws.String(tagKey), Value: aws.String("none")}}
	_, err := w.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: slices.Concat(w.groups, w.lists), Tags: none})
	w.must(err)
	w.f.succeed("{}")
	if entries, _ := w.entries(); w.sources() != "192.0.2.0/24" || entries != "" {
		t.Errorf("none: the groups let in %q, the lists %q", w.sources(), entries)
	}
}

// check checks what groups and lists let in, and that one more run changes nothing.
func (w *motoWorld) check(want string) {
	w.t.Helper()
	got, before := w.entries()
	if groups := w.sources(); groups != want || got != want {
		w.t.Errorf("the groups let in %q, the lists %q, want %q", groups, got, want)
	}
	rep := w.f.succeed("{}")
	if _, after := w.entries(); rep.Changed || !slices.Equal(before, after) {
		w.t.Errorf("one more run changes something: %+v", rep)
	}
}

// drift has somebody close a range, and open another one with our mark.
func (w *motoWorld) drift() {
	w.t.Helper()
	w.revoke("18.64.0.0/16")
	w.authorize("198.51.100.0/24", description)
	_, versions := w.entries()
	added := types.AddPrefixListEntry{Cidr: aws.String("198.51.100.0/24"), Description: aws.String(description)}
	_, err := w.ec2.ModifyManagedPrefixList(w.t.Context(), &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &w.lists[0], CurrentVersion: &versions[0], PrefixListName: aws.String("cloudfront"),
		AddEntries:    []types.AddPrefixListEntry{added},
		RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("18.64.0.0/16")}},
	})
	w.must(err)
}
