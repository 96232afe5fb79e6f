package ec2sim

import (
	"regexp"
	"slices"
	"strings"
)

// A Group is a security group as it is at one moment. What is given out shares its rules and tags with the endpoint,
// which never changes them in place: it must only be read.
type Group struct {
	Account, Region string
	ID              string // sg-…
	Name            string
	Description     string
	VPC             string // vpc-…
	Tags            Tags
	Ingress, Egress []Rule // in the order they were authorized
}

func (g *Group) arn() string { return arn(g.Region, g.Account, "security-group/"+g.ID) }

func arn(region, account, resource string) string {
	return "arn:aws:ec2:" + region + ":" + account + ":" + resource
}

// update replaces a group by what change makes of it as it is now, and has observers told.
func (s *site) update(g *Group, change func(*Group)) {
	next := *s.groups.byID[g.ID]
	change(&next)
	s.groups.put(&next)
	s.touch(g.ID)
}

// touch notes that a call has changed a resource, if it is of a kind that observers are told about.
func (s *site) touch(id string) {
	watched := slices.ContainsFunc([]string{groupKind.prefix, interfaceKind.prefix, prefixListKind.prefix},
		func(prefix string) bool { return strings.HasPrefix(id, prefix) })
	if watched && !slices.Contains(s.server.touched, id) {
		s.server.touched = append(s.server.touched, id)
	}
}

// named returns the group of an id, or of a name in the default VPC.
func (s *site) named(id, name string) (*Group, error) {
	switch {
	case id != "":
		return s.groups.find(id)
	case name == "":
		return nil, missing("GroupName or GroupId")
	}
	vpc := s.defaultVPC()
	for g := range s.groups.all {
		if g.Name == name && vpc != nil && g.VPC == vpc.ID {
			return g, nil
		}
	}
	return nil, errorf("InvalidGroup.NotFound", "The security group '%s' does not exist in default VPC", name)
}

// allowedText reports whether a name or a description of a group or a rule consists of what it may.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
func allowedText(s string) bool {
	return len(s) <= 255 && allowedCharacters.MatchString(s)
}

// The length is not part of the pattern: a class repeated 255 times takes a tenth of the time that cfsg needs to start.
var allowedCharacters = regexp.MustCompile(`^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$`)

type createGroupInput struct {
	dryRun
	Name        string   `query:"GroupName"`
	Description string   `query:"GroupDescription"`
	VPC         string   `query:"VpcId"`
	TagSpecs    tagSpecs `query:"TagSpecification"`
}

type createGroupOutput struct {
	reply
	Return bool   `xml:"return"`
	ID     string `xml:"groupId"`
	Tags   Tags   `xml:"tagSet"`
	ARN    string `xml:"securityGroupArn"`
}

func (s *site) createSecurityGroup(_ *call, in createGroupInput) (*createGroupOutput, error) {
	tags, err := in.TagSpecs.tagsFor(groupKind.resourceType)
	if err != nil {
		return nil, err
	}
	g, err := s.addGroup(Group{Name: in.Name, Description: in.Description, VPC: in.VPC, Tags: tags})
	if err != nil {
		return nil, err
	}
	return &createGroupOutput{Return: true, ID: g.ID, Tags: g.Tags, ARN: g.arn()}, nil
}

// addGroup creates a group, in the default VPC where it names none. A new group lets everything out.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/creating-security-groups.html
func (s *site) addGroup(g Group) (*Group, error) {
	switch {
	case g.Name == "":
		return nil, missing("GroupName")
	case g.Description == "":
		return nil, missing("GroupDescription")
	case !allowedText(g.Name), strings.HasPrefix(strings.ToLower(g.Name), "sg-"):
		return nil, errorf("InvalidParameterValue", "Value (%s) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.", g.Name)
	case !allowedText(g.Description):
		return nil, errorf("InvalidParameterValue", "Value (%s) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported.", g.Description)
	}
	if g.VPC == "" {
		vpc := s.defaultVPC()
		if vpc == nil {
			return nil, errorf("VPCIdNotSpecified", "No default VPC for this user")
		}
		g.VPC = vpc.ID
	}
	if _, err := s.vpcs.find(g.VPC); err != nil {
		return nil, err
	}
	for _, other := range s.groups.byID {
		if other.VPC == g.VPC && strings.EqualFold(other.Name, g.Name) {
			return nil, errorf("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, g.VPC)
		}
	}
	g.Account, g.Region, g.ID = s.account, s.region, s.server.newID("sg")
	g.Egress = []Rule{{ID: s.server.newID("sgr"), Permission: everythingOut}}
	s.groups.put(&g)
	s.touch(g.ID)
	return &g, nil
}

type deleteGroupInput struct {
	dryRun
	ID   string `query:"GroupId"`
	Name string `query:"GroupName"`
}

type deleteGroupOutput struct {
	done
	ID string `xml:"groupId"`
}

func (s *site) deleteSecurityGroup(_ *call, in deleteGroupInput) (*deleteGroupOutput, error) {
	g, err := s.named(in.ID, in.Name)
	if err != nil {
		return nil, err
	}
	if err := s.dropGroup(g); err != nil {
		return nil, err
	}
	return &deleteGroupOutput{done: done{Return: true}, ID: g.ID}, nil
}

// dropGroup deletes a group nothing depends on.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
func (s *site) dropGroup(g *Group) error {
	if g.Name == "default" {
		return errorf("CannotDelete", "the specified group: %q name: \"default\" cannot be deleted by a user", g.ID)
	}
	inUse := s.attached[g.ID] > 0
	for _, other := range s.groups.byID {
		inUse = inUse || other.ID != g.ID && (refersTo(other.Ingress, g.ID) || refersTo(other.Egress, g.ID))
	}
	if inUse {
		return errorf("DependencyViolation", "resource %s has a dependent object", g.ID)
	}
	s.groups.drop(g.ID)
	s.touch(g.ID)
	return nil
}

func refersTo(rules []Rule, reference string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Source.Reference == reference })
}

type groupXML struct {
	Owner       string         `xml:"ownerId"`
	ID          string         `xml:"groupId"`
	Name        string         `xml:"groupName"`
	Description string         `xml:"groupDescription"`
	VPC         string         `xml:"vpcId"`
	Ingress     []ipPermission `xml:"ipPermissions>item"`
	Egress      []ipPermission `xml:"ipPermissionsEgress>item"`
	Tags        Tags           `xml:"tagSet"`
	ARN         string         `xml:"securityGroupArn"`
}

// groupKind has the filters of DescribeSecurityGroups.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
var groupKind = kind[*Group]{
	prefix: "sg-", malformed: "InvalidGroupId.Malformed", notFound: "InvalidGroup.NotFound", message: "The security group '%s' does not exist",
	set: "securityGroupInfo", ids: "GroupId", resourceType: "security-group",
	id:   func(g *Group) string { return g.ID },
	tags: func(g *Group) *Tags { return &g.Tags },
	filters: attributes[*Group]{
		"description": func(g *Group) []string { return []string{g.Description} },
		"group-id":    func(g *Group) []string { return []string{g.ID} },
		"group-name":  func(g *Group) []string { return []string{g.Name} },
		"owner-id":    func(g *Group) []string { return []string{g.Account} },
		"vpc-id":      func(g *Group) []string { return []string{g.VPC} },
	},
}

func init() {
	for name, of := range ruleFilters {
		groupKind.filters["ip-permission."+name] = func(g *Group) []string { return eachRule(g.Ingress, of) }
		groupKind.filters["egress.ip-permission."+name] = func(g *Group) []string { return eachRule(g.Egress, of) }
	}
}

func eachRule(rules []Rule, of func(Rule) string) []string {
	values := make([]string, 0, len(rules))
	for _, r := range rules {
		if v := of(r); v != "" {
			values = append(values, v)
		}
	}
	return values
}

func (s *site) groupXML(g *Group) groupXML {
	return groupXML{
		Owner: g.Account, ID: g.ID, Name: g.Name, Description: g.Description, VPC: g.VPC,
		Ingress: s.permissions(g.Ingress), Egress: s.permissions(g.Egress),
		Tags: g.Tags, ARN: g.arn(),
	}
}
