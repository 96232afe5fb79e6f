package ec2sim

import "github.com/go-json-experiment/json"

// Quota codes of Amazon VPC.
//
// https://docs.aws.amazon.com/general/latest/gr/vpc-service.html
const (
	quotaRulesPerGroup      = "L-0EA8095F"
	quotaGroupsPerInterface = "L-2AFB9258"
)

// defaultGroupsPerInterface is how many security groups a network interface may have in an account that never asked for
// more.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const defaultGroupsPerInterface = 5

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
	value := map[string]int{quotaRulesPerGroup: s.quota, quotaGroupsPerInterface: s.groupsPerInterface()}[in.QuotaCode]
	if in.ServiceCode != "vpc" || value == 0 {
		return nil, errorf("NoSuchResourceException", "The request failed because the specified service quota %s of %s does not exist.", in.QuotaCode, in.ServiceCode)
	}
	return map[string]any{"Quota": map[string]any{
		"QuotaCode": in.QuotaCode, "ServiceCode": "vpc", "ServiceName": "Amazon Virtual Private Cloud (Amazon VPC)",
		"Unit": "None", "Value": float64(value), "Adjustable": true, "QuotaAppliedAtLevel": "ACCOUNT",
	}}, nil
}
