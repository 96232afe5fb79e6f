package ec2sim

import "github.com/go-json-experiment/json"

// Limits of security groups and network interfaces.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const (
	defaultGroupsPerInterface = 5
	mostGroupsPerInterface    = 16
	mostRulesPerInterface     = 1000 // what the two quotas may come to, multiplied
)

// quotas are of an account in a region.
type quotas struct {
	RulesPerGroup      int `json:"rulesPerGroup"`
	GroupsPerInterface int `json:"groupsPerInterface"`
}

// groupsPerInterface returns how many security groups an interface may have: fewer than were granted where the rules
// per group have been raised too far.
func (q quotas) groupsPerInterface() int {
	return min(q.GroupsPerInterface, max(1, mostRulesPerInterface/q.RulesPerGroup))
}

// getServiceQuota answers for the quotas that concern security groups.
//
// https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
// https://docs.aws.amazon.com/general/latest/gr/vpc-service.html (the codes)
func (s *site) getServiceQuota(c *call) any {
	var in struct{ ServiceCode, QuotaCode, ContextID string }
	if err := json.Unmarshal(c.body, &in, json.MatchCaseInsensitiveNames(true)); err != nil {
		refuse("SerializationException", "The request body is not valid: %v", err)
	}
	value := map[string]int{"L-0EA8095F": s.quotas.RulesPerGroup, "L-2AFB9258": s.quotas.groupsPerInterface()}[in.QuotaCode]
	if in.ServiceCode != "vpc" || value == 0 {
		refuse("NoSuchResourceException", "The request failed because the specified service quota %s of %s does not exist.", in.QuotaCode, in.ServiceCode)
	}
	return map[string]any{"Quota": map[string]any{
		"QuotaCode": in.QuotaCode, "ServiceCode": "vpc", "ServiceName": "Amazon Virtual Private Cloud (Amazon VPC)",
		"Unit": "None", "Value": float64(value), "Adjustable": true, "QuotaAppliedAtLevel": "ACCOUNT",
	}}
}
