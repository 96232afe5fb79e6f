package ec2sim

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// An Exclusion exempts a VPC or subnet from VPC Block Public Access.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessExclusion.html
type Exclusion struct {
	ID       string `xml:"exclusionId"`
	Resource string `xml:"resourceArn"`                  // created by ID
	Mode     string `xml:"internetGatewayExclusionMode"` // "allow-bidirectional" unless it says "allow-egress"
	State    string `xml:"state"`                        // "create-complete" unless it says otherwise
	Tags     Tags   `xml:"tagSet"`
}

// exclusionKind has the filters of DescribeVpcBlockPublicAccessExclusions.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcBlockPublicAccessExclusions.html
var exclusionKind = kind[*Exclusion]{
	prefix: "vpcbpa-exclude-", malformed: "InvalidVpcBlockPublicAccessExclusionId.Malformed",
	notFound: "InvalidVpcBlockPublicAccessExclusionId.NotFound", message: "The exclusion ID '%s' does not exist",
	set: "vpcBlockPublicAccessExclusionSet", ids: "ExclusionId", resourceType: "vpc-block-public-access-exclusion",
	id:   func(e *Exclusion) string { return e.ID },
	tags: func(e *Exclusion) *Tags { return &e.Tags },
	filters: attributes[*Exclusion]{
		"internet-gateway-exclusion-mode": func(e *Exclusion) []string { return []string{e.Mode} },
		"resource-arn":                    func(e *Exclusion) []string { return []string{e.Resource} },
		"state":                           func(e *Exclusion) []string { return []string{e.State} },
	},
}

type publicAccessOutput struct {
	reply
	Options publicAccessXML `xml:"vpcBlockPublicAccessOptions"`
}

type publicAccessXML struct {
	Account    string `xml:"awsAccountId"`
	Region     string `xml:"awsRegion"`
	Mode       string `xml:"internetGatewayBlockMode"`
	State      string `xml:"state"`
	ManagedBy  string `xml:"managedBy"`
	Exclusions string `xml:"exclusionsAllowed"`
	Updated    string `xml:"lastUpdateTimestamp,omitempty"`
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessOptions.html
func (s *site) publicAccess(*call, dryRun) (*publicAccessOutput, error) {
	x := publicAccessXML{Account: s.account, Region: s.region, Mode: "off", State: "default-state", ManagedBy: "account", Exclusions: "allowed"}
	if s.blockMode != "" {
		x.Mode, x.State, x.Updated = s.blockMode, "update-complete", s.server.now().UTC().Format(time.RFC3339)
	}
	return &publicAccessOutput{Options: x}, nil
}

// BlockPublicAccess sets the mode of VPC Block Public Access: "off", "block-ingress" or "block-bidirectional".
func (r Region) BlockPublicAccess(mode string) error {
	return r.change(func(s *site) error {
		if !slices.Contains([]string{"off", "block-ingress", "block-bidirectional"}, mode) {
			return errorf("InvalidParameterValue", "Value (%s) for parameter internetGatewayBlockMode is invalid.", mode)
		}
		s.blockMode = mode
		return nil
	})
}

// ExcludeFromBlock exempts the VPC or subnet that e names by its ID.
func (r Region) ExcludeFromBlock(e Exclusion) (created Exclusion, err error) {
	err = r.change(func(s *site) error {
		kind, _, _ := strings.Cut(e.Resource, "-")
		var err error
		if kind == "vpc" {
			_, err = s.vpcs.find(e.Resource)
		} else {
			_, err = s.subnets.find(e.Resource)
		}
		if err != nil {
			return err
		}
		e.ID, e.Resource = s.server.newID("vpcbpa-exclude"), arn(s.region, s.account, kind+"/"+e.Resource)
		e.Mode, e.State = cmp.Or(e.Mode, "allow-bidirectional"), cmp.Or(e.State, "create-complete")
		s.exclusions.put(&e)
		created = e
		return nil
	})
	return created, err
}
