package ec2sim

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Role is an IAM role the endpoint lets its callers assume.
type Role struct {
	ARN        string `json:"arn"`        // arn:aws:iam::ACCOUNT:role/NAME
	ExternalID string `json:"externalId"` // demanded of the caller, unless empty
}

// A session is what an access key the endpoint issued stands for.
type session struct{ account, arn string }

var roleARN = regexp.MustCompile(`^arn:aws:iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]+)$`)

// assumeRole issues an access key of the role's account.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *site) assumeRole(c *call) any {
	arn, name := c.params.Get("RoleArn"), c.params.Get("RoleSessionName")
	parts := roleARN.FindStringSubmatch(arn)
	if parts == nil || name == "" {
		refuse("ValidationError", "RoleArn %q is invalid, or RoleSessionName is missing", arn)
	}
	role, ok := s.server.roles[arn]
	if !ok || role.ExternalID != "" && role.ExternalID != c.params.Get("ExternalId") {
		refuse("AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: %s", arn)
	}
	s.server.lastID++
	account, key := parts[1], fmt.Sprintf("ASIA%016X", s.server.lastID)
	user := fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", account, parts[2], name)
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
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (s *site) callerIdentity(c *call) any {
	user := cmp.Or(s.server.keys[c.caller.accessKey].arn, "arn:aws:iam::"+c.account+":user/operator")
	return body{{"Arn", user}, {"UserId", c.caller.accessKey}, {"Account", c.account}}
}
