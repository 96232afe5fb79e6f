package ec2sim

import (
	"cmp"
	"net/netip"
	"strings"
)

// An Interface is a network interface as it is at one moment: of an instance, or of a load balancer or another service,
// which its description then names. Like a [Group] it must only be read.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
type Interface struct {
	Account     string     `json:"account" xml:"ownerId" filter:"owner-id"`
	Region      string     `json:"region" xml:"-"`
	ID          string     `json:"-" xml:"networkInterfaceId" filter:"network-interface-id"` // eni-…
	VPC         string     `json:"vpc" xml:"vpcId" filter:"vpc-id"`
	Subnet      string     `json:"subnet" xml:"subnetId" filter:"subnet-id"`
	Description string     `json:"description" xml:"description" filter:"description"`
	Groups      []string   `json:"groups" xml:"-" filter:"group-id"`                            // IDs of its security groups
	Instance    string     `json:"instance" xml:"-" filter:"attachment.instance-id"`            // the instance it is attached to, empty for none
	Requester   string     `json:"requester" xml:"requesterId,omitempty" filter:"requester-id"` // the service that made it, such as "amazon-elb"; empty for a user
	Type        string     `json:"type" xml:"interfaceType" filter:"interface-type"`            // "interface" unless it says otherwise
	PrivateIP   netip.Addr `json:"privateIp" xml:"privateIpAddress" filter:"private-ip-address,addresses.private-ip-address"`
	PublicIP    netip.Addr `json:"publicIp" xml:"-" filter:"association.public-ip"`   // the zero Addr for none
	IPv6        netip.Addr `json:"ipv6" xml:"-" filter:"ipv6-addresses.ipv6-address"` // the zero Addr for none
	Tags        Tags       `json:"tags" xml:"tagSet"`
}

// addInterface creates a network interface. Without a subnet it is put into that of its first group's VPC, or of the
// default VPC; without groups it gets the VPC's default one, unless it is of a load balancer that needs none.
// See https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
func (s *site) addInterface(i Interface) *Interface {
	vpc := i.VPC
	if vpc == "" && len(i.Groups) > 0 {
		vpc = s.groups.find(i.Groups[0]).VPC
	}
	vpc = cmp.Or(vpc, s.vpcNamed("").ID)
	n := s.subnets.first(func(n *subnet) bool { return n.ID == i.Subnet || i.Subnet == "" && n.VPC == vpc })
	if n == nil {
		subnetKind.refuse(cmp.Or(i.Subnet, vpc))
	}
	i.Account, i.Region, i.VPC, i.Subnet = s.account, s.region, n.VPC, n.ID
	if !i.PrivateIP.IsValid() {
		i.PrivateIP = n.next
		n.next = n.next.Next()
	}
	if len(i.Groups) == 0 && !strings.HasSuffix(i.Type, "_load_balancer") {
		i.Groups = []string{s.groupNamed(n.VPC, "default").ID}
	}
	i.ID, i.Type = s.server.newID("eni"), cmp.Or(i.Type, "interface")
	s.setGroups(&i, i.Groups)
	s.interfaces.byID[i.ID] = &i
	return &i
}

// setGroups replaces an interface's groups, if it may have these.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// and https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/3943 (another VPC)
func (s *site) setGroups(i *Interface, groups []string) {
	for _, id := range groups {
		if s.groups.find(id).VPC != i.VPC {
			refuse("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
		}
	}
	if len(groups) > s.quotas.groupsPerInterface() {
		refuse("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
	}
	i.Groups = groups
	s.touch(i.ID)
}

// modifyInterface replaces an interface's groups. Those of a service, such as a load balancer's, cannot be changed this
// way.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
// and https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
// and https://github.com/cloud-custodian/cloud-custodian/issues/3406 (the error)
func (s *site) modifyInterface(_ *call, in struct {
	ID     string   `json:"NetworkInterfaceId"`
	Groups []string `json:"SecurityGroupId"`
},
) body {
	i := s.interfaces.find(in.ID)
	if i.Requester != "" {
		refuse("AuthFailure", "You do not have permission to access the specified resource.")
	}
	s.setGroups(i, in.Groups)
	return done
}

func (i *Interface) form(s *site) any {
	x := struct {
		*Interface
		RequesterManaged bool   `xml:"requesterManaged"`
		Status           string `xml:"status"`
		Groups           []body `xml:"groupSet>item"`
		PrivateIPs       []body `xml:"privateIpAddressesSet>item"`
		IPv6             []body `xml:"ipv6AddressesSet>item"`
		Attachment       body   `xml:"attachment"`
		Association      body   `xml:"association"`
	}{Interface: i, RequesterManaged: i.Requester != "", Status: "available"}
	for _, id := range i.Groups {
		x.Groups = append(x.Groups, body{{"groupId", id}, {"groupName", s.groups.byID[id].Name}})
	}
	owner := cmp.Or(i.Requester, i.Account)
	if i.Instance != "" || i.Requester != "" {
		x.Status = "in-use"
		x.Attachment = body{{"instanceOwnerId", owner}, {"status", "attached"}}
	}
	if i.Instance != "" {
		x.Attachment = append(x.Attachment, element{"instanceId", i.Instance})
	}
	private := body{{"privateIpAddress", i.PrivateIP}, {"primary", true}}
	if i.PublicIP.IsValid() {
		x.Association = body{{"publicIp", i.PublicIP}, {"ipOwnerId", owner}}
		private = append(private, element{"association", x.Association})
	}
	x.PrivateIPs = []body{private}
	if i.IPv6.IsValid() {
		x.IPv6 = []body{{{"ipv6Address", i.IPv6}}}
	}
	return x
}
