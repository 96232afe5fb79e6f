package ec2sim

import (
	"maps"
	"net/netip"
	"strings"
)

type siteKey struct{ account, region string }

// A site is what one account has in one region. Its methods expect the server's lock to be held.
type site struct {
	server *Server
	siteKey

	quotas      quotas
	vpcs        table[vpc]
	subnets     table[subnet]
	acls        table[networkACL]
	routeTables table[routeTable]
	exclusions  table[exclusion]
	blockMode   string // of VPC Block Public Access, empty if never set

	state         // of what stale answers are about
	past  []state // what there was after each of the last changes, the last one is now

	loadBalancers []*loadBalancer
	listeners     []*listener
	targetGroups  []*targetGroup
}

// site returns an account's resources in a region, opened at the first use with a default and one other VPC.
func (s *Server) site(account, region string) *site {
	key := siteKey{account, region}
	if st := s.sites[key]; st != nil {
		return st
	}
	st := &site{
		server: s, siteKey: key, quotas: s.quotas,
		vpcs: newTable[vpc](&vpcKind), subnets: newTable[subnet](&subnetKind), acls: newTable[networkACL](&aclKind),
		routeTables: newTable[routeTable](&routeTableKind), exclusions: newTable[exclusion](&exclusionKind),
		state: state{newTable[Group](&groupKind), newTable[Interface](&interfaceKind), newTable[PrefixList](&prefixListKind)},
	}
	s.sites[key] = st
	defer func(before []string) { s.touched = before }(s.touched) // no call made these
	st.addVPC(vpc{CIDR: netip.MustParsePrefix("172.31.0.0/16"), Default: true})
	st.addVPC(vpc{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	// A reference to either of AWS's lists counts 55 times against a quota.
	st.enterPrefixList(PrefixList{Name: CloudFrontIPv4, Family: "IPv4", Owner: "AWS", MaxEntries: 55})
	st.enterPrefixList(PrefixList{Name: CloudFrontIPv6, Family: "IPv6", Owner: "AWS", MaxEntries: 55})
	st.remember()
	return st
}

func (s *site) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + s.region + ":" + s.account + ":" + resource
}

// merged returns a map that holds both; where they differ, over wins.
func merged[M ~map[string]string](base, over M) M {
	m := make(M, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}

// regions lists the regions that exist.
//
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
	ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
	ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
	il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2`)
