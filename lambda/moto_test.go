package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/internal/moto"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
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
	w.ec2 = ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: &w.url,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
	return w
}

func (w *motoWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish makes a newer file of the ranges.
func (w *motoWorld) publish(ranges ...string) {
	w.token += 3600
	var v4, v6 []string
	for _, r := range ranges {
		if strings.Contains(r, ":") {
			v6 = append(v6, fmt.Sprintf(`{"ipv6_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}`, r))
		} else {
			v4 = append(v4, fmt.Sprintf(`{"ip_prefix":%q,"region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}`, r))
		}
	}
	document := fmt.Sprintf(`{"syncToken":"%d","createDate":"2026-09-21-%02d-13-20","prefixes":[%s],"ipv6_prefixes":[%s]}`,
		w.token, 14+(w.token-1790000000)/3600-1, strings.Join(v4, ","), strings.Join(v6, ","))
	w.document.Store(&document)
}

// list makes a tagged prefix list.
func (w *motoWorld) list(family string, size int32, tags map[string]string) string {
	w.t.Helper()
	spec := types.TagSpecification{ResourceType: types.ResourceTypePrefixList}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		spec.Tags = append(spec.Tags, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	out, err := w.ec2.CreateManagedPrefixList(context.Background(), &ec2.CreateManagedPrefixListInput{
		PrefixListName: aws.String("cloudfront"), AddressFamily: &family, MaxEntries: &size, TagSpecifications: []types.TagSpecification{spec},
	})
	w.must(err)
	return *out.PrefixList.PrefixListId
}

// entries returns the entries of lists, sorted, and their versions.
func (w *motoWorld) entries(ids ...string) (entries string, versions []int64) {
	w.t.Helper()
	var all []string
	for _, id := range ids {
		out, err := w.ec2.GetManagedPrefixListEntries(context.Background(), &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id})
		w.must(err)
		for _, e := range out.Entries {
			all = append(all, *e.Cidr)
		}
		described, err := w.ec2.DescribeManagedPrefixLists(context.Background(), &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}})
		w.must(err)
		versions = append(versions, *described.PrefixLists[0].Version)
	}
	return sorted(all), versions
}

// sources returns what the rules of groups on a port let in, sorted.
func (w *motoWorld) sources(port int32, ids ...string) string {
	w.t.Helper()
	out, err := w.ec2.DescribeSecurityGroups(context.Background(), &ec2.DescribeSecurityGroupsInput{GroupIds: ids})
	w.must(err)
	var all []string
	for _, g := range out.SecurityGroups {
		for _, p := range g.IpPermissions {
			if aws.ToInt32(p.FromPort) != port {
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

func permission(cidr, description string) []types.IpPermission {
	return []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443),
		IpRanges: []types.IpRange{{CidrIp: &cidr, Description: &description}},
	}}
}

// tag sets tags of anything.
func (w *motoWorld) tag(id string, tags ...string) {
	w.t.Helper()
	in := &ec2.CreateTagsInput{Resources: []string{id}}
	for i := 0; i < len(tags); i += 2 {
		in.Tags = append(in.Tags, types.Tag{Key: &tags[i], Value: &tags[i+1]})
	}
	_, err := w.ec2.CreateTags(context.Background(), in)
	w.must(err)
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
	const key = "cloudfront-ingress"
	w := newMotoWorld(t)
	w.publish("18.64.0.0/16", "52.84.0.0/15", "2600:9000::/28")
	pool := map[string]string{key: "443", key + "-pool": "web"}
	w.groups = []string{w.group("web", pool)}
	w.lists = []string{w.list("IPv4", 5, map[string]string{key: "ranges"}), w.list("IPv6", 2, map[string]string{key: "ranges"})}
	w.f = w.start(map[string]string{"RULES_PER_GROUP": "3"})

	if rep := w.f.succeed("{}"); !rep.Changed || rep.Summary.Added != 3 || len(rep.PrefixLists) != 2 {
		t.Errorf("first sync: %+v", rep)
	}
	w.check("first sync", "18.64.0.0/16 52.84.0.0/15 2600:9000::/28")

	w.publish("18.64.0.0/16", "52.84.0.0/16", "2600:9000::/28", "2a01:111::/32")
	w.f.succeed("{}")
	w.check("published change", "18.64.0.0/16 52.84.0.0/16 2600:9000::/28 2a01:111::/32")

	w.withdraw()
	w.drift()
	w.shortage()
	w.groups = append(w.groups, w.group("web-2", pool))
	w.f.succeed("{}")
	w.check("resync", "18.64.0.0/16 52.84.0.0/16 99.84.0.0/16 108.156.0.0/16 2600:9000::/28 2a01:111::/32")

	// The rules of others stay.
	_, err := w.ec2.AuthorizeSecurityGroupIngress(t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &w.groups[0], IpPermissions: permission("192.0.2.0/24", "office")})
	w.must(err)
	for _, id := range slices.Concat(w.groups, w.lists) {
		w.tag(id, key, "none")
	}
	w.f.succeed("{}")
	if got := w.sources(443, w.groups...); got != "192.0.2.0/24" {
		t.Errorf("none: the groups let in %q", got)
	}
	if got, _ := w.entries(w.lists...); got != "" {
		t.Errorf("none: the lists let in %q", got)
	}
}

// check checks what groups and lists let in, and that one more run changes nothing.
func (w *motoWorld) check(when, want string) {
	w.t.Helper()
	if got := w.sources(443, w.groups...); got != want {
		w.t.Errorf("%s: the groups let in %q, want %q", when, got, want)
	}
	got, before := w.entries(w.lists...)
	if got != want {
		w.t.Errorf("%s: the lists let in %q, want %q", when, got, want)
	}
	rep := w.f.succeed("{}")
	if _, after := w.entries(w.lists...); rep.Changed || !slices.Equal(before, after) {
		w.t.Errorf("%s: one more run changes something: %+v", when, rep)
	}
}

// withdraw publishes a file that only takes away; a copy of the file before it is refused then.
func (w *motoWorld) withdraw() {
	w.t.Helper()
	before := *w.document.Load()
	w.publish("18.64.0.0/16", "52.84.0.0/16", "2600:9000::/28")
	w.f.succeed("{}")
	w.check("withdrawn range", "18.64.0.0/16 52.84.0.0/16 2600:9000::/28")
	newest := w.document.Swap(&before)
	if message := w.f.fail("{}"); !strings.Contains(message, "of "+w.groups[0]+" was made from a newer one") {
		w.t.Errorf("an older file: %s", message)
	}
	if got := w.sources(443, w.groups...); got != "18.64.0.0/16 52.84.0.0/16 2600:9000::/28" {
		w.t.Errorf("an older file: the groups let in %q", got)
	}
	w.document.Store(newest)
	w.f.succeed("{}") // a removal leaves no date in a list, so the older file has filled it again
}

// drift has somebody close a range, and open another one with our mark.
func (w *motoWorld) drift() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &w.groups[0], IpPermissions: permission("18.64.0.0/16", "")})
	w.must(err)
	_, err = w.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &w.groups[0], IpPermissions: permission("198.51.100.0/24", description)})
	w.must(err)
	_, versions := w.entries(w.lists[0])
	_, err = w.ec2.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &w.lists[0], CurrentVersion: &versions[0], PrefixListName: aws.String("cloudfront"),
		AddEntries:    []types.AddPrefixListEntry{{Cidr: aws.String("198.51.100.0/24"), Description: aws.String(description)}},
		RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("18.64.0.0/16")}},
	})
	w.must(err)
	w.f.succeed("{}")
	w.check("drift", "18.64.0.0/16 52.84.0.0/16 2600:9000::/28")
}

// shortage publishes four ranges where there is room for three.
func (w *motoWorld) shortage() {
	w.t.Helper()
	w.publish("18.64.0.0/16", "52.84.0.0/16", "99.84.0.0/16", "108.156.0.0/16", "2600:9000::/28", "2a01:111::/32")
	message := w.f.fail("{}")
	if says := `pool "web" is too small: port 443 needs 4 IPv4 rules, room for 3`; !strings.Contains(message, says) {
		w.t.Errorf("shortage: it lacks %q: %s", says, message)
	}
	if got := w.sources(443, w.groups...); got != "18.64.0.0/16 52.84.0.0/16 99.84.0.0/16 2600:9000::/28 2a01:111::/32" {
		w.t.Errorf("shortage: the groups let in %q", got)
	}
}
