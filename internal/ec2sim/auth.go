package ec2sim

import (
	"net/http"
	"strings"
)

// A caller is who sent a request, and where to.
type caller struct {
	accessKey, account, region, service string
}

// authenticate reads the credential scope of the request's signature:
//
//	AWS4-HMAC-SHA256 Credential=AKID/20260822/us-east-1/ec2/aws4_request, SignedHeaders=…, Signature=…
//
// The signature itself is not verified.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (s *Server) authenticate(r *http.Request) (caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return caller{}, errorf("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	_, rest, ok := strings.Cut(header, "Credential=")
	if !ok {
		return caller{}, errorf("IncompleteSignature", "Authorization header requires 'Credential' parameter.")
	}
	credential, _, _ := strings.Cut(rest, ",")
	scope := strings.Split(strings.TrimSpace(credential), "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return caller{}, errorf("IncompleteSignature", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	c := caller{accessKey: scope[0], region: scope[2], service: scope[3]}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.account = s.home
	if session, ok := s.keys[c.accessKey]; ok {
		c.account = session.account
	}
	return c, nil
}
