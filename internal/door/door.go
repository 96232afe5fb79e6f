// Package door answers whether security groups let all of CloudFront in, and who else they let in.
//
// [Discover] asks EC2 which groups guard an origin; [Judge] holds what these let in against the wanted ranges, and is a
// pure function; [Check] does both.
package door

import (
	"context"
	"net/netip"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Question says what the groups are judged by.
type Question struct {
	// Services names what is wanted, in the words of ip-ranges.json.
	Services []string
	// Wanted holds the ranges that should be let in.
	Wanted *iprange.Publication
	// OriginFacing holds the ranges from which CloudFront connects to origins; nil if that is not known, or not what
	// Wanted is about.
	OriginFacing *iprange.Publication
	// Within holds the ranges that may be let in as well, so that fewer rules are needed; nil if there are none.
	Within   *iprange.Publication
	Families []secgroup.Family
	// Ports are asked for; empty stands for those in the groups' tags and those of the rules that refer to tagged
	// prefix lists, or 443 where there are none.
	Ports  []secgroup.PortRange
	TagKey string
}

// A Scene is what EC2 says of an origin's guards.
type Scene struct {
	Subjects []Subject
	// Lists are the prefix lists that rules of the subjects refer to, by ID.
	Lists map[string]PrefixList
	// ListsErr is why the lists have no names, where they have none.
	ListsErr error
}

// A Subject is what is judged as one: a network interface with all groups that are attached to it, or groups that are
// named together. Traffic comes in if any rule of any group lets it in. See
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
type Subject struct {
	Interface *Interface // nil for named groups
	Groups    []secgroup.Group
}

// An Interface is a network interface, reduced to what tells it from others.
type Interface struct {
	ID          string `json:"id"`          // eni-…
	Description string `json:"description"` // of a load balancer's it has the name
	Instance    string `json:"instance"`    // i-…, or empty
	// PrivateIPv4, PublicIPv4 and IPv6 are its addresses.
	PrivateIPv4 []netip.Addr `json:"privateIpv4"`
	PublicIPv4  []netip.Addr `json:"publicIpv4"`
	IPv6        []netip.Addr `json:"ipv6"`

	// RequesterManaged is set for an interface that belongs to a service, and that nobody else can change.
	RequesterManaged bool `json:"-"`

	// needsNoGroup is set for an interface that everyone reaches where no group is attached to it.
	needsNoGroup bool
}

// A PrefixList is a managed prefix list.
type PrefixList struct {
	ID   string // pl-…
	Name string // empty where it is not known
	// Owner is the account that it belongs to, or "AWS", and Tags are those that EC2 shows. Both are empty where that
	// is not known.
	Owner string
	Tags  map[string]string
	// Family is the only one its entries are of, -1 where that is not known.
	Family  secgroup.Family
	Entries []netip.Prefix
	// Err is why the entries could not be read.
	Err error
}

// Check discovers the groups that a selector means, and judges them. What is not there is a [NotFoundError].
func Check(ctx context.Context, api API, s Selector, q Question) (*Report, error) {
	scene, err := Discover(ctx, api, s)
	if err != nil {
		return nil, err
	}
	return Judge(scene, q), nil
}
