// Package ec2sim is an EC2 endpoint in memory, for tests, demonstrations and trying things out. It speaks the EC2 Query
// protocol, version 2016-11-15, as the AWS SDKs and the AWS CLI use it. Clients cannot tell it from AWS as far as
// security groups, their attachments and their references are concerned. It answers for Elastic Load Balancing (version
// 2015-12-01), STS and Service Quotas where the work on security groups needs them.
//
// A [Server] is an [net/http.Handler]. It records every call, injects the faults a test asks for, and shows the state
// between any two calls.
//
// The region of a call is that of its signature's credential scope. The account is that of the role whose access key
// signed it, if STS here has issued that key, and otherwise the home account. Signatures are not verified.
//
// # Seeds
//
// [Server.Seed] reads the resources at the start from a JSON document. A member it does not know is an error. All
// members except the name of a group may be left out; without a region, a resource is in us-east-1, without an
// account in the home account, without a vpc in the default VPC.
//
//	{
//	  "rulesPerGroup": 60,
//	  "groupsPerInterface": 5,
//	  "quotas": [{"region": "eu-west-1", "rulesPerGroup": 120, "groupsPerInterface": 8}],
//	  "roles": [{"arn": "arn:aws:iam::444455556666:role/sync", "externalId": "x"}],
//	  "vpcs": [{"name": "shop", "region": "eu-west-1", "cidr": "10.1.0.0/16"}],
//	  "subnets": [{"vpc": "shop", "name": "a", "region": "eu-west-1", "cidr": "10.1.16.0/24"}],
//	  "networkAcls": [{"vpc": "shop", "subnets": ["a"], "region": "eu-west-1", "entries": [
//	    {"number": 90, "protocol": "tcp", "ports": "443", "cidr": "13.32.0.0/15", "deny": true},
//	    {"number": 100, "cidr": "0.0.0.0/0"}, {"number": 100, "egress": true, "cidr": "0.0.0.0/0"}
//	  ]}],
//	  "routeTables": [{
//	    "vpc": "shop", "subnets": ["a"], "region": "eu-west-1", "routes": [{"to": "0.0.0.0/0", "via": "igw"}]
//	  }],
//	  "blockPublicAccess": [{
//	    "region": "eu-west-1", "mode": "block-ingress", "exclusions": [{"vpc": "shop", "subnet": "a"}]
//	  }],
//	  "prefixLists": [{
//	    "name": "office", "family": "IPv4", "maxEntries": 10, "entries": ["192.0.2.0/24"],
//	    "tags": {"team": "network"}, "sharedWith": ["444455556666"], "ipamPrefixListResolverSyncEnabled": true
//	  }],
//	  "groups": [{
//	    "name": "web", "description": "web servers", "account": "111122223333",
//	    "region": "eu-west-1", "vpc": "shop",
//	    "tags": {"cloudfront-ingress": "443"},
//	    "ingress": [
//	      {"protocol": "tcp", "ports": "443", "source": "192.0.2.0/24", "description": "office"},
//	      {"protocol": "tcp", "ports": "8000-8080", "source": "group:web"},
//	      {"protocol": "tcp", "ports": "80", "source": "list:com.amazonaws.global.cloudfront.origin-facing"},
//	      {"protocol": "-1", "source": "2001:db8::/32"}
//	    ]
//	  }],
//	  "interfaces": [{
//	    "region": "eu-west-1", "vpc": "shop", "groups": ["web"], "description": "ELB app/shop/0123456789abcdef",
//	    "instance": "i-0123456789abcdef0", "requester": "amazon-elb",
//	    "privateIp": "10.1.0.10", "publicIp": "198.51.100.7", "ipv6": "2001:db8::7"
//	  }],
//	  "loadBalancers": [{
//	    "name": "shop", "type": "application", "scheme": "internet-facing", "region": "eu-west-1", "vpc": "shop",
//	    "groups": ["web"], "listeners": ["HTTP:80", "HTTPS:443"],
//	    "interfaces": [{"publicIp": "198.51.100.8"}, {"publicIp": "198.51.100.9", "ipv6": "2001:db8::9"}],
//	    "tags": {"elbv2.k8s.aws/cluster": "prod"}
//	  }],
//	  "targetGroups": [{
//	    "name": "app", "protocol": "TCP", "port": 8080, "type": "instance", "region": "eu-west-1", "vpc": "shop",
//	    "listeners": ["shop:443"], "targets": [{"id": "i-0123456789abcdef0", "port": 80, "state": "unhealthy"}],
//	    "attributes": {"deregistration_delay.timeout_seconds": "30"}, "headers": {"X-Origin-Verify": "a secret"}
//	  }]
//	}
//
// The vpc of a group, interface or load balancer is "default", "other", or the name of one of the vpcs, which becomes
// that VPC's Name tag. A source is an IP range without host bits, "group:" and the name of a group of the same VPC, or
// "list:" and the name of a prefix list of the region, which may be one that another account shares. The family of a
// list is that of its entries, or IPv4. Ports are left out for protocols that have none, and for all types of ICMP. The
// rules may be more than the quota allows. The interfaces of a load balancer, one if none are named, have its groups
// and a description such as "ELB app/shop/50dc6c495c0c9188".
//
// Every VPC begins with a subnet, a network ACL that allows everything, and a main route table with a route to its
// internet gateway for each family. A network ACL named here replaces that of its subnets; entries without a protocol
// are for all of them. A route table replaces that of its subnets or, without any, the main one; "igw" stands for the
// VPC's internet gateway, and anything else is the ID of a target, such as "nat-0123456789abcdef0". A listener is known
// by its load balancer's name and its port; the first target group of a listener is that of its default rule, unless it
// has headers: the rules that lead to it demand them.
package ec2sim
