package ec2sim

import "github.com/go-json-experiment/json"

// Quota codes of Amazon VPC.
//
// https://docs.aws.amazon.com/general/latest/gr/vpc-service.html
const (
	quotaRulesPerGroup      = "L-0EA8095F"
	quotaGroupsPerInterface = "L-2AFB9258"
)

// DefaultGroupsPerInterface is how many security groups a network interface may have in an account that never asked for
// more.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const DefaultGroupsPerInterface = 5

// mostGroupsPerInterface is how many a network interface may have at most.
const mostGroupsPerInterface = 16

// mostRulesPerInterface is what the two quotas may come to, multiplied.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const mostRulesPerInterface = 1000

// groupsPerInterface returns how many security groups an interface may have: fewer than were granted where the rules
// per group have been raised too far.
func (s *site) groupsPerInterface() int {
	return min(s.groupQuota, max(1, mostRulesPerInterface/s.quota))
}

type quotaJSON struct {
	ARN         string `json:"QuotaArn"`
	Code        string `json:"QuotaCode"`
	Name        string `json:"QuotaName"`
	Service     string `json:"ServiceCode"`
	ServiceName string
	Unit        string
	Value       float64
	Adjustable  bool
	Global      bool   `json:"GlobalQuota"`
	Level       string `json:"QuotaAppliedAtLevel"`
}

// getServiceQuota answers for the quotas that concern security groups.
//
// https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
func (s *site) getServiceQuota(c *call) (any, error) {
	var in struct {
		ServiceCode, QuotaCode, ContextID string
	}
	if err := json.Unmarshal(c.body, &in, json.MatchCaseInsensitiveNames(true)); err != nil {
		return nil, errorf("SerializationException", "The request body is not valid: %v", err)
	}
	var name string
	var value int
	switch {
	case in.ServiceCode == "vpc" && in.QuotaCode == quotaRulesPerGroup:
		name, value = "Inbound or outbound rules per security group", s.quota
	case in.ServiceCode == "vpc" && in.QuotaCode == quotaGroupsPerInterface:
		name, value = "Security groups per network interface", s.groupsPerInterface()
	default:
		return nil, errorf("NoSuchResourceException", "The request failed because the specified service quota %s of %s does not exist.", in.QuotaCode, in.ServiceCode)
	}
	return struct{ Quota quotaJSON }{quotaJSON{
		ARN:  "arn:aws:servicequotas:" + s.region + ":" + s.account + ":vpc/" + in.QuotaCode,
		Code: in.QuotaCode, Name: name, Service: "vpc", ServiceName: "Amazon Virtual Private Cloud (Amazon VPC)",
		Unit: "None", Value: float64(value), Adjustable: true, Level: "ACCOUNT",
	}}, nil
}
