package ec2sim

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A Group is a security group as it is at one moment. It shares its rules and tags with the endpoint, which never
// changes them in place: callers must only read it.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroup.html
type Group struct {
	Account     string `json:"account" xml:"ownerId" filter:"owner-id"`
	Region      string `json:"region" xml:"-"`
	ID          string `json:"-" xml:"groupId" filter:"group-id"` // sg-…
	Name        string `json:"name" xml:"groupName" filter:"group-name"`
	Description string `json:"description" xml:"groupDescription" filter:"description"`
	VPC         string `json:"vpc" xml:"vpcId" filter:"vpc-id"` // vpc-…
	Tags        Tags   `json:"tags" xml:"tagSet"`
	Ingress     []Rule `json:"ingress" xml:"-" filter:"ip-permission.prefix-list-id"` // in the order they were authorized
	Egress      []Rule `json:"-" xml:"-"`
}

// update replaces a group by what change makes of it as it is now, and has observers told.
func (s *site) update(g *Group, change func(*Group)) {
	next := *s.groups.byID[g.ID]
	change(&next)
	s.groups.byID[next.ID] = &next
	s.touch(g.ID)
}

func (s *site) groupNamed(vpc, name string) *Group {
	return s.groups.first(func(g *Group) bool { return g.VPC == vpc && g.Name == name })
}

// allowedText reports whether groups and rules may have a name or description.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
func allowedText(s string) bool {
	return len(s) <= 255 && allowedCharacters.MatchString(s)
}

// The length is not part of the pattern: a class repeated 255 times takes a tenth of the time that cfsg needs to start.
var allowedCharacters = regexp.MustCompile(`^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$`)

func (s *site) createSecurityGroup(_ *call, in struct {
	Name        string `json:"GroupName"`
	Description string `json:"GroupDescription"`
	VPC         string `json:"VpcId"`
	tagSpec
},
) body {
	g := s.addGroup(Group{Name: in.Name, Description: in.Description, VPC: in.VPC, Tags: in.Tags.tags()})
	return body{{"return", true}, {"groupId", g.ID}, {"tagSet", g.Tags}}
}

// addGroup creates a group, in the default VPC where it names none. A new group lets everything out.
// See https://docs.aws.amazon.com/vpc/latest/userguide/creating-security-groups.html
func (s *site) addGroup(g Group) *Group {
	if g.Name == "" || !allowedText(g.Name) || !allowedText(g.Description) {
		refuseInvalid("Value (%s) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.", g.Name)
	}
	g.VPC = s.vpcs.find(cmp.Or(g.VPC, s.vpcNamed("").ID)).ID
	if s.groups.first(func(o *Group) bool { return o.VPC == g.VPC && strings.EqualFold(o.Name, g.Name) }) != nil {
		refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, g.VPC)
	}
	g.Account, g.Region, g.ID = s.account, s.region, s.server.newID("sg")
	g.Egress = s.withIDs([]Rule{{Permission: Permission{"-1", -1, -1, Source{Prefix: anyIPv4}}}})
	s.groups.byID[g.ID] = &g
	s.touch(g.ID)
	return &g
}

func (s *site) deleteSecurityGroup(_ *call, in struct {
	ID string `json:"GroupId"`
},
) body {
	s.dropGroup(in.ID)
	return body{{"return", true}, {"groupId", in.ID}}
}

// dropGroup deletes a group nothing depends on.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
func (s *site) dropGroup(id string) {
	g := s.groups.find(id)
	if s.interfaces.first(func(i *Interface) bool { return slices.Contains(i.Groups, id) }) != nil ||
		s.groups.first(func(other *Group) bool { return other != g && other.refersTo(id) }) != nil {
		refuse("DependencyViolation", "resource %s has a dependent object", id)
	}
	delete(s.groups.byID, id)
	s.touch(id)
}

// refersTo reports whether a rule of a group has another group or a prefix list as its source.
func (g *Group) refersTo(id string) bool {
	refers := func(r Rule) bool { return r.Source.Reference == id }
	return slices.ContainsFunc(g.Ingress, refers) || slices.ContainsFunc(g.Egress, refers)
}

func (g *Group) form(s *site) any {
	return struct {
		*Group
		Ingress []*ipPermission `xml:"ipPermissions>item"`
		Egress  []*ipPermission `xml:"ipPermissionsEgress>item"`
	}{g, s.permissions(g.Ingress), s.permissions(g.Egress)}
}
