package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ec2sim"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// The roles of member accounts are of one name, in the partition of the region, and give way to a role that is named
// for the account.
func TestNew(t *testing.T) {
	c := config.Config{
		Selection:      iprange.Selection{Services: []string{"CLOUDFRONT_ORIGIN_FACING"}, Within: []string{"CLOUDFRONT"}},
		RoleARNs:       []string{"arn:aws:iam::222233334444:role/net/own"},
		MemberAccounts: []string{"111122223333", "222233334444"},
		MemberRoleName: "sync",
	}
	partitions := map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}
	for region, partition := range partitions {
		want := []string{"arn:aws:iam::222233334444:role/net/own", "arn:" + partition + ":iam::111122223333:role/sync"}
		if got := Roles(c, region); !slices.Equal(got, want) {
			t.Errorf("in %s the roles are %q, want %q", region, got, want)
		}
	}
	e, err := New(c, aws.Config{Region: "eu-west-1"}, nil, slog.New(slog.DiscardHandler))
	if err != nil || !slices.Equal(e.Selection.Services, c.Selection.Services) || len(e.Targets) != 3 {
		t.Errorf("%+v %v", e, err)
	}
}

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
			refused := err != nil && strings.Contains(err.Error(), "AssumeRole")
			if synced := s.sources(theirs, web) == rangeA; refused != test.refused || synced == test.refused {
				t.Errorf("refused: %t, synchronised: %t: %v", refused, synced, err)
			}
		})
	}
}

// A failure to assume a role that is no refusal is reported as such, and errors.As finds it.
func TestRoleIsNotReached(t *testing.T) {
	cause := &aws.RequestCanceledError{Err: context.DeadlineExceeded}
	fails := func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, cause }
	provider := roleProvider{aws.CredentialsProviderFunc(fails), "arn:aws:iam::222233334444:role/sync"}
	_, err := provider.Retrieve(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "trust policy") {
		t.Errorf("error %v", err)
	}
}

// Who has too small a pool for every range is told what the compact cover takes.
func TestShortageOffersCompactCover(t *testing.T) {
	plain := publication{token: 1790000000, ranges: prefixes("13.32.0.0/16", rangeA, rangeB, "52.124.128.0/17")}.document()
	with := func(file, prefix, service string) string {
		entry := fmt.Sprintf(`"prefixes":[{"ip_prefix":%q,"service":%q},`, prefix, service)
		return strings.Replace(file, `"prefixes":[`, entry, 1)
	}
	file := with(with(plain, "18.64.1.0/24", "CLOUDFRONT_ORIGIN_FACING"), "52.222.129.0/24", "CLOUDFRONT_ORIGIN_FACING")
	const offer = "SERVICES=CLOUDFRONT_ORIGIN_FACING and WITHIN=CLOUDFRONT"
	for _, c := range []struct {
		name, services, file string
		offered              bool
	}{
		{"every range", "CLOUDFRONT", file, true},
		{"two services", "CLOUDFRONT EC2", with(file, "3.4.12.4/32", "EC2"), false},
		{"unknown which connect to origins", "CLOUDFRONT", plain, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil)
			s.within(c.services, "")
			s.RulesPerGroup = 3
			s.file = c.file
			s.group(s.here, "web", "443")
			p, err := s.Propose(t.Context(), Request{})
			s.must(err)
			_, err = s.Run(t.Context(), Request{})
			for what, err := range map[string]error{"run": err, "preview": errors.Join(p.Failures...)} {
				short, ok := errors.AsType[*secgroup.ShortageError](err)
				said := fmt.Sprint(short)
				offers := strings.Contains(said, offer) && strings.Contains(said, "2 IPv4 and 0 IPv6 rules a port")
				if !ok || offers != c.offered || strings.Contains(said, "WITHIN=") != c.offered {
					t.Errorf("%s: error %v, which offers the cover: %t", what, err, !c.offered)
				}
			}
		})
	}
}

// A cover that lets other customers' machines in is told, and no other.
func TestStrangers(t *testing.T) {
	for _, c := range []struct{ name, within, want string }{
		{"nothing is taken in", "", ""},
		{"CloudFront's own", "CLOUDFRONT", ""},
		{
			"all of Amazon", "AMAZON",
			"WITHIN adds 524032 IPv4 addresses beyond SERVICES, 256 IPv4 addresses of them in EC2's ranges, where any AWS",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, ec2sim.Options{}, []string{"us-east-1"}, nil, rangeA)
			s.within("CLOUDFRONT_ORIGIN_FACING", c.within)
			s.file = strings.Replace(s.file, `"prefixes":[`, `"prefixes":[
				{"ip_prefix":"18.64.1.0/24","service":"CLOUDFRONT_ORIGIN_FACING"}, {"ip_prefix":"18.64.0.0/13","service":"AMAZON"},
				{"ip_prefix":"18.68.7.0/24","service":"EC2"}, {"ip_prefix":"18.64.1.0/25","service":"EC2"},`, 1)
			var log bytes.Buffer
			s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			if _, err := s.Run(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			if c.want == "" && log.Len() > 0 || !strings.Contains(log.String(), c.want) {
				t.Errorf("log %q, want %q in it", log.String(), c.want)
			}
		})
	}
}
