package ec2sim

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A Role is an IAM role the endpoint lets its callers assume.
type Role struct {
	ARN        string `json:"arn"`        // arn:aws:iam::ACCOUNT:role/NAME
	ExternalID string `json:"externalId"` // demanded of the caller, unless empty
}

// A session belongs to an access key that the endpoint issued.
type session struct{ account, arn string }

// assumeRole issues an access key of the role's account.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *site) assumeRole(c *call) any {
	arn, name := c.params.Get("RoleArn"), c.params.Get("RoleSessionName")
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || !slices.ContainsFunc(s.server.options.Roles, func(r Role) bool {
		return r.ARN == arn && (r.ExternalID == "" || r.ExternalID == c.params.Get("ExternalId"))
	}) {
		refuse("AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: %s", arn)
	}
	s.server.lastID++
	account, key := parts[4], fmt.Sprintf("ASIA%016X", s.server.lastID)
	user := fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", account, path.Base(arn), name)
	s.server.keys[key] = session{account: account, arn: user}
	return body{
		{"Credentials", body{
			{"AccessKeyId", key},
			{"SecretAccessKey", strings.Repeat("s", 40)},
			{"SessionToken", "session-" + key},
			{"Expiration", s.server.options.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
		}},
		{"AssumedRoleUser", body{{"Arn", user}, {"AssumedRoleId", "AROA" + key[4:] + ":" + name}}},
	}
}

// callerIdentity says whose access key a request was signed with.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (s *site) callerIdentity(c *call) any {
	user := cmp.Or(s.server.keys[c.accessKey].arn, "arn:aws:iam::"+c.Account+":user/operator")
	return body{{"Arn", user}, {"UserId", c.accessKey}, {"Account", c.Account}}
}

// Limits of security groups and network interfaces.
// See https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const (
	defaultGroupsPerInterface = 5
	mostGroupsPerInterface    = 16
	mostRulesPerInterface     = 1000 // the most that the two quotas may come to, multiplied
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
// See https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
// and https://docs.aws.amazon.com/general/latest/gr/vpc-service.html (the codes)
func (s *site) getServiceQuota(c *call) any {
	var in struct{ ServiceCode, QuotaCode, ContextID string }
	must(json.Unmarshal(c.body, &in, json.MatchCaseInsensitiveNames(true)))
	value := map[string]int{"L-0EA8095F": s.quotas.RulesPerGroup, "L-2AFB9258": s.quotas.groupsPerInterface()}[in.QuotaCode]
	if in.ServiceCode != "vpc" || value == 0 {
		refuse("NoSuchResourceException", "The request failed because the specified service quota %s of %s does not exist.", in.QuotaCode, in.ServiceCode)
	}
	return map[string]any{"Quota": map[string]any{
		"QuotaCode": in.QuotaCode, "ServiceCode": "vpc", "ServiceName": "Amazon Virtual Private Cloud (Amazon VPC)",
		"Unit": "None", "Value": float64(value), "Adjustable": true, "QuotaAppliedAtLevel": "ACCOUNT",
	}}
}
