package ec2sim

import (
	"cmp"
	"net/http"
	"net/netip"
	"strings"
)

// An Interface is a network interface as it is at one moment: of an instance, or of a load balancer or another service,
// which its description then names. Like a [Group] it must only be read.
type Interface struct {
	Account, Region string
	ID              string // eni-…
	VPC, Subnet     string
	Description     string
	Groups          []string // ids of its security groups
	Instance        string   // the instance it is attached to, empty for none
	Requester       string   // the service that made it, such as "amazon-elb"; empty for a user
	Type            string   // "interface" unless it says otherwise
	PrivateIP       netip.Addr
	PublicIP        netip.Addr // the zero Addr for none
	IPv6            netip.Addr // the zero Addr for none
	Tags            Tags
}

// groupless are the types of interfaces that may have no security group.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html
var groupless = map[string]bool{"network_load_balancer": true, "gateway_load_balancer": true}

// addInterface creates a network interface. Without a subnet it is put into that of its first group's VPC, or of the
// default VPC; without groups it gets the VPC's default one, unless its type needs none.
func (s *site) addInterface(i Interface) (*Interface, error) {
	n, err := s.subnetFor(i)
	if err != nil {
		return nil, err
	}
	i.Account, i.Region, i.VPC, i.Subnet = s.account, s.region, n.vpc, n.id
	if len(i.Groups) == 0 && !groupless[i.Type] {
		i.Groups = s.defaultGroups(n.vpc)
	}
	if err := s.checkGroups(n.vpc, i.Groups, newInterface); err != nil {
		return nil, err
	}
	if !i.PrivateIP.IsValid() {
		i.PrivateIP = n.next
		n.next = n.next.Next()
	}
	if !n.cidr.Contains(i.PrivateIP) {
		return nil, errorf("InvalidParameterValue", "Address %s does not fall within the subnet's address range", i.PrivateIP)
	}
	i.ID, i.Type = s.server.newID("eni"), cmp.Or(i.Type, "interface")
	s.interfaces.put(&i)
	s.touch(i.ID)
	s.attach(i.Groups, 1)
	return &i, nil
}

func (s *site) subnetFor(i Interface) (*subnet, error) {
	if i.Subnet != "" {
		return s.subnets.find(i.Subnet)
	}
	vpc := i.VPC
	if vpc == "" && len(i.Groups) > 0 {
		g, err := s.groups.find(i.Groups[0])
		if err != nil {
			return nil, err
		}
		vpc = g.VPC
	}
	if vpc == "" {
		vpc = s.defaultVPC().ID
	}
	for n := range s.subnets.all {
		if n.vpc == vpc {
			return n, nil
		}
	}
	return nil, vpcKind.absent(vpc)
}

func (s *site) defaultGroups(vpc string) []string {
	for g := range s.groups.all {
		if g.VPC == vpc && g.Name == "default" {
			return []string{g.ID}
		}
	}
	return nil
}

// groupErrors are what a call says of groups that an interface may not have: one that does not exist, and one of
// another VPC.
type groupErrors struct{ notFound, otherVPC func(id string) error }

// What differs between creating an interface and changing one.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/3943 (another VPC, changing)
var (
	newInterface = groupErrors{
		notFound: func(id string) error {
			return errorf("InvalidSecurityGroupID.NotFound", "The securityGroup ID '%s' does not exist", id)
		},
		otherVPC: func(id string) error {
			return errorf("InvalidParameter", "Security group %s and the subnet belong to different networks.", id)
		},
	}
	knownInterface = groupErrors{
		notFound: groupKind.absent,
		otherVPC: func(string) error {
			return errorf("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
		},
	}
)

// checkGroups refuses groups an interface in a VPC may not have.
func (s *site) checkGroups(vpc string, ids []string, refuse groupErrors) error {
	for _, id := range ids {
		switch g := s.groups.byID[id]; {
		case g == nil:
			return refuse.notFound(id)
		case g.VPC != vpc:
			return refuse.otherVPC(id)
		}
	}
	if len(ids) > s.groupsPerInterface() {
		return errorf("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
	}
	return nil
}

// setGroups replaces an interface's groups.
func (s *site) setGroups(i *Interface, groups []string) {
	s.attach(i.Groups, -1)
	s.attach(groups, 1)
	i.Groups = groups
	s.touch(i.ID)
}

// attach counts the interfaces of groups, which keeps those from being deleted.
func (s *site) attach(groups []string, n int) {
	for _, id := range groups {
		s.attached[id] += n
	}
}

type createInterfaceInput struct {
	dryRun
	Subnet      string   `query:"SubnetId"`
	Description string   `query:"Description"`
	PrivateIP   string   `query:"PrivateIpAddress"`
	Groups      []string `query:"SecurityGroupId"`
	Type        string   `query:"InterfaceType"`
	TagSpecs    tagSpecs `query:"TagSpecification"`
	ClientToken string   `query:"ClientToken"`
}

type createInterfaceOutput struct {
	reply
	Interface interfaceXML `xml:"networkInterface"`
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkInterface.html
func (s *site) createInterface(_ *call, in createInterfaceInput) (*createInterfaceOutput, error) {
	if in.Subnet == "" {
		return nil, missing("subnetId")
	}
	tags, err := in.TagSpecs.tagsFor(interfaceKind.resourceType)
	if err != nil {
		return nil, err
	}
	i := Interface{Subnet: in.Subnet, Description: in.Description, Groups: in.Groups, Type: in.Type, Tags: tags}
	if in.PrivateIP != "" {
		if i.PrivateIP, err = netip.ParseAddr(in.PrivateIP); err != nil {
			return nil, errorf("InvalidParameterValue", "Value (%s) for parameter privateIpAddress is invalid.", in.PrivateIP)
		}
	}
	added, err := s.addInterface(i)
	if err != nil {
		return nil, err
	}
	return &createInterfaceOutput{Interface: s.interfaceXML(added)}, nil
}

type deleteInterfaceInput struct {
	dryRun
	ID string `query:"NetworkInterfaceId"`
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkInterface.html
func (s *site) deleteInterface(_ *call, in deleteInterfaceInput) (*done, error) {
	i, err := s.interfaces.find(in.ID)
	if err != nil {
		return nil, err
	}
	if i.Instance != "" || i.Requester != "" {
		return nil, errorf("InvalidParameterValue", "Network interface '%s' is currently in use.", i.ID)
	}
	s.interfaces.drop(i.ID)
	s.touch(i.ID)
	s.attach(i.Groups, -1)
	return &done{Return: true}, nil
}

type modifyInterfaceInput struct {
	dryRun
	ID          string   `query:"NetworkInterfaceId"`
	Groups      []string `query:"SecurityGroupId"`
	Description *struct {
		Value string `query:"Value"`
	} `query:"Description"`
}

// modifyInterface replaces an interface's groups or its description. Those of a service, such as a load balancer's,
// cannot be changed this way.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
// https://github.com/cloud-custodian/cloud-custodian/issues/3406 (the error)
func (s *site) modifyInterface(_ *call, in modifyInterfaceInput) (*done, error) {
	i, err := s.interfaces.find(in.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case i.Requester != "":
		e := errorf("AuthFailure", "You do not have permission to access the specified resource.")
		e.status = http.StatusBadRequest // not 401, as for credentials
		return nil, e
	case len(in.Groups) > 0 && in.Description != nil:
		return nil, errorf("InvalidParameterCombination", "Fields for multiple attribute types specified")
	case in.Description != nil:
		i.Description = in.Description.Value
		s.touch(i.ID)
	case len(in.Groups) == 0:
		return nil, errorf("InvalidParameterCombination", "No attributes specified.")
	default:
		if err := s.checkGroups(i.VPC, in.Groups, knownInterface); err != nil {
			return nil, err
		}
		s.setGroups(i, in.Groups)
	}
	return &done{Return: true}, nil
}

// interfaceKind has the filters of DescribeNetworkInterfaces that apply here.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
var interfaceKind = kind[*Interface]{
	prefix: "eni-", malformed: "InvalidNetworkInterfaceId.Malformed",
	notFound: "InvalidNetworkInterfaceID.NotFound", message: "The networkInterface ID '%s' does not exist",
	set: "networkInterfaceSet", ids: "NetworkInterfaceId", resourceType: "network-interface",
	id:   func(i *Interface) string { return i.ID },
	tags: func(i *Interface) *Tags { return &i.Tags },
	filters: attributes[*Interface]{
		"addresses.private-ip-address": func(i *Interface) []string { return []string{i.PrivateIP.String()} },
		"association.public-ip":        func(i *Interface) []string { return address(i.PublicIP) },
		"attachment.instance-id":       func(i *Interface) []string { return optional(i.Instance) },
		"description":                  func(i *Interface) []string { return []string{i.Description} },
		"group-id":                     func(i *Interface) []string { return i.Groups },
		"interface-type":               func(i *Interface) []string { return []string{i.Type} },
		"ipv6-addresses.ipv6-address":  func(i *Interface) []string { return address(i.IPv6) },
		"network-interface-id":         func(i *Interface) []string { return []string{i.ID} },
		"owner-id":                     func(i *Interface) []string { return []string{i.Account} },
		"private-ip-address":           func(i *Interface) []string { return []string{i.PrivateIP.String()} },
		"requester-id":                 func(i *Interface) []string { return optional(i.Requester) },
		"requester-managed":            func(i *Interface) []string { return boolean(i.Requester != "") },
		"status":                       func(i *Interface) []string { return []string{i.status()} },
		"subnet-id":                    func(i *Interface) []string { return []string{i.Subnet} },
		"vpc-id":                       func(i *Interface) []string { return []string{i.VPC} },
	},
}

func optional(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func address(a netip.Addr) []string {
	if !a.IsValid() {
		return nil
	}
	return []string{a.String()}
}

func (i *Interface) status() string {
	if i.Instance == "" && i.Requester == "" {
		return "available"
	}
	return "in-use"
}

type interfaceXML struct {
	ID               string              `xml:"networkInterfaceId"`
	Subnet           string              `xml:"subnetId"`
	VPC              string              `xml:"vpcId"`
	Zone             string              `xml:"availabilityZone"`
	Description      string              `xml:"description"`
	Owner            string              `xml:"ownerId"`
	Requester        string              `xml:"requesterId,omitempty"`
	RequesterManaged bool                `xml:"requesterManaged"`
	Status           string              `xml:"status"`
	Type             string              `xml:"interfaceType"`
	PrivateIP        string              `xml:"privateIpAddress"`
	PrivateIPs       []privateAddressXML `xml:"privateIpAddressesSet>item"`
	IPv6             []ipv6AddressXML    `xml:"ipv6AddressesSet>item"`
	Groups           []groupIdentifier   `xml:"groupSet>item"`
	Attachment       *attachmentXML      `xml:"attachment"`
	Association      *associationXML     `xml:"association"`
	Tags             Tags                `xml:"tagSet"`
}

type groupIdentifier struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type attachmentXML struct {
	ID       string `xml:"attachmentId"`
	Instance string `xml:"instanceId,omitempty"`
	Owner    string `xml:"instanceOwnerId"`
	Status   string `xml:"status"`
}

type associationXML struct {
	PublicIP string `xml:"publicIp"`
	Owner    string `xml:"ipOwnerId"`
}

type privateAddressXML struct {
	Address     string          `xml:"privateIpAddress"`
	Primary     bool            `xml:"primary"`
	Association *associationXML `xml:"association"`
}

type ipv6AddressXML struct {
	Address string `xml:"ipv6Address"`
}

func (s *site) interfaceXML(i *Interface) interfaceXML {
	x := interfaceXML{
		ID: i.ID, Subnet: i.Subnet, VPC: i.VPC, Zone: s.subnets.byID[i.Subnet].zone, Description: i.Description,
		Owner: i.Account, Requester: i.Requester, RequesterManaged: i.Requester != "", Status: i.status(), Type: i.Type,
		PrivateIP: i.PrivateIP.String(), Tags: i.Tags,
	}
	for _, id := range i.Groups {
		x.Groups = append(x.Groups, groupIdentifier{id, s.groups.byID[id].Name})
	}
	if i.status() == "in-use" {
		x.Attachment = &attachmentXML{
			ID: "eni-attach-" + strings.TrimPrefix(i.ID, "eni-"), Instance: i.Instance,
			Owner: cmp.Or(i.Requester, i.Account), Status: "attached",
		}
		if i.Requester == loadBalancing {
			x.Attachment.ID = "ela" + strings.TrimPrefix(x.Attachment.ID, "eni")
		}
	}
	if i.PublicIP.IsValid() {
		x.Association = &associationXML{i.PublicIP.String(), cmp.Or(i.Requester, i.Account)}
	}
	for _, addr := range address(i.IPv6) {
		x.IPv6 = append(x.IPv6, ipv6AddressXML{addr})
	}
	x.PrivateIPs = []privateAddressXML{{x.PrivateIP, true, x.Association}}
	return x
}
