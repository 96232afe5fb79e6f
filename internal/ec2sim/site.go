package ec2sim

import (
	"maps"
	"net/netip"
)

// A siteKey names a site.
type siteKey struct{ account, region string }

// A site is what one account has in one region. Its methods expect the server's lock to be held.
type site struct {
	server *Server
	siteKey

	quota       int // rules per security group
	groupQuota  int // security groups per network interface
	vpcs        table[*VPC]
	subnets     table[*subnet]
	groups      table[*Group]
	interfaces  table[*Interface]
	prefixLists table[*PrefixList]

	acls        table[*NetworkACL]
	routeTables table[*RouteTable]
	gateways    table[*internetGateway]
	exclusions  table[*Exclusion]
	blockMode   string // of VPC Block Public Access, empty if never set

	loadBalancers table[*LoadBalancer]
	targetGroups  table[*TargetGroup]

	past     []state           // what there was after each of the last changes, the last one is now
	tokens   map[string]string // client tokens to IDs of what they created
	attached map[string]int    // interfaces a security group is attached to
}

// site returns an account's resources in a region, opened at the first use with a default and one other VPC.
func (s *Server) site(account, region string) *site {
	key := siteKey{account, region}
	if st := s.sites[key]; st != nil {
		return st
	}
	st := &site{
		server: s, siteKey: key, quota: s.rulesPerGroup, groupQuota: s.groupQuota,
		vpcs: table[*VPC]{kind: &vpcKind}, subnets: table[*subnet]{kind: &subnetKind}, groups: table[*Group]{kind: &groupKind},
		interfaces: table[*Interface]{kind: &interfaceKind}, prefixLists: table[*PrefixList]{kind: &prefixListKind},
		acls: table[*NetworkACL]{kind: &aclKind}, routeTables: table[*RouteTable]{kind: &routeTableKind},
		gateways: table[*internetGateway]{kind: &gatewayKind}, exclusions: table[*Exclusion]{kind: &exclusionKind},
		loadBalancers: table[*LoadBalancer]{kind: &loadBalancerKind}, targetGroups: table[*TargetGroup]{kind: &targetGroupKind},
		tokens: map[string]string{}, attached: map[string]int{},
	}
	s.sites[key] = st
	defer func(before []string) { s.touched = before }(s.touched) // no call made these
	st.openToInternet(st.addVPC(netip.MustParsePrefix("172.31.0.0/16"), true))
	st.openToInternet(st.addVPC(netip.MustParsePrefix("10.0.0.0/16"), false))
	st.addManagedPrefixLists()
	st.remember()
	return st
}

// merged returns a map that holds both; where they differ, over wins.
func merged[M ~map[string]string](base, over M) M {
	m := make(M, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}
