// Package door is the model of an origin's door: whether CloudFront gets in at a network interface, who else does, and
// what could not be seen. Every verdict on that, of any command and of the function, comes from here.
//
// A [Scene] is what AWS says of the door: interfaces with their groups, prefix lists, the way from the Internet
// ([Network]) and what is behind load balancers ([Balancer]). [Discover] reads one. Two pure functions judge it:
//
//   - [Judge] answers a [Question] with a [Report]: for each interface, port and address family the wanted ranges that get
//     in, by which kind of rule, and where on the way the others are lost; a [Mark] and its cause at each level, the worst
//     of the level below; and who else gets in, [Report.OpenToWorld].
//   - [World] is only that last part: the rules that open a port to the world. It needs no question.
//
// A scene may lack parts: groups that are named have no interface, and Network and Balancers are nil where nobody
// looked. These parts are left out of the verdict. A part that somebody wanted to look at and could not is unknown, and
// then the mark is not ✓.
package door

import (
	"slices"
	"time"

	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// A Question says what the groups are judged by.
type Question struct {
	// Services names the wanted services, in the words of ip-ranges.json.
	Services []string
	// Wanted holds the ranges that should be let in, and those from which CloudFront connects to origins if it is all
	// that is wanted.
	Wanted *iprange.Publication
	// Within holds the ranges that may be let in as well, so that fewer rules are needed; nil if there are none.
	Within   *iprange.Publication
	Families []secgroup.Family
	// Ports are asked for; empty stands for those in the groups' tags and those of the rules that refer to tagged
	// prefix lists, or 443 if there are no such rules either.
	Ports  []secgroup.PortRange
	TagKey string
	// Now is the time: a later date in a description is not believed. The zero value believes all.
	Now time.Time
}

// Wants reports whether ranges of a family are wanted. Whether CloudFront connects over another family is unknown.
func (q Question) Wants(f secgroup.Family) bool {
	ranges := q.Wanted.IPv4
	if f == secgroup.IPv6 {
		ranges = q.Wanted.IPv6
	}
	return slices.Contains(q.Families, f) && len(ranges) > 0
}

// A Scene is what EC2 says of an origin's guards.
type Scene struct {
	Subjects []Subject
	// Lists are the prefix lists that rules of the subjects refer to, by ID, with their entries. One that could not be
	// described has no name, and the family -1.
	Lists map[string]secgroup.Holder
	// ListsErr is why the lists have no names, where they have none.
	ListsErr error
	// Network is the way from the Internet to the subjects' interfaces; nil if it was not read.
	Network *Network
	// Balancers are the load balancers that the subjects' interfaces belong to, by name, if they were read.
	Balancers map[string]*Balancer
}

// Groups returns the groups of all subjects, each once.
func (s *Scene) Groups() []secgroup.Group {
	var all []secgroup.Group
	for _, subject := range s.Subjects {
		for _, g := range subject.Groups {
			if !slices.ContainsFunc(all, func(o secgroup.Group) bool { return o.ID == g.ID }) {
				all = append(all, g)
			}
		}
	}
	return all
}

// Has reports whether a network interface is one of the subjects.
func (s *Scene) Has(id string) bool {
	return slices.ContainsFunc(s.Subjects, func(subject Subject) bool { return subject.Interface != nil && subject.Interface.ID == id })
}

// A Subject is what is judged as one: a network interface with all groups that are attached to it, or groups that are
// named together. Traffic comes in if any rule of any group lets it in. See
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
type Subject struct {
	Interface *Interface // nil for named groups
	Groups    []secgroup.Group
}

// An Interface is a network interface.
type Interface = secgroup.Interface
