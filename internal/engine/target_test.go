package engine

import (
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"
)

// A role whose trust policy asks for an external ID is assumed with it, and with no other.
func TestExternalID(t *testing.T) {
	const member = "arn:aws:iam::222233334444:role/sync"
	for _, test := range []struct {
		name, asked, given string
		refused            bool
	}{
		{"asked and given", "hub-7", "hub-7", false},
		{"neither asked nor given", "", "", false},
		{"given unasked", "", "hub-7", false},
		{"another", "hub-7", "hub-8", true},
		{"not given", "hub-7", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{Roles: []ec2sim.Role{{ARN: member, ExternalID: test.asked}}}, nil, nil, rangeA)
			s.Targets = Targets(s.cfg, []string{"us-east-1"}, []string{member}, test.given)
			theirs := s.sim.Region("222233334444", "us-east-1")
			web := s.group(theirs, "web", "443")
			_, err := s.Run(t.Context(), Request{})
			if refused := err != nil && strings.Contains(err.Error(), "AssumeRole"); refused != test.refused {
				t.Errorf("refused: %t, want %t: %v", refused, test.refused, err)
			}
			if synced := s.sources(theirs, web) == rangeA; synced == test.refused {
				t.Errorf("synchronised: %t", synced)
			}
		})
	}
}
