package secgroup

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	tcp443  = PortRange{443, 443}
	compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(InterfacePlan{})}
)

// prefixes parses CIDRs.
func prefixes(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range cidrs {
		out = append(out, netip.MustParsePrefix(cidr))
	}
	return out
}

// tcp returns what identifies a TCP rule.
func tcp(ports PortRange, cidr string) RuleID {
	return RuleID{"tcp", int32(ports.From), int32(ports.To), Source{Prefix: netip.MustParsePrefix(cidr)}}
}

// The operations of a step about a security group, as tests name them.
const (
	authorize  = "authorize"
	revoke     = "revoke"
	redescribe = "redescribe"
)

// stepOf returns a step about a group.
func stepOf(operation, group string, rules ...Rule) Step {
	step := Step{HolderID: group}
	switch operation {
	case authorize:
		step.Add = rules
	case revoke:
		step.Remove = rules
	default:
		step.Describe = rules
	}
	return step
}

// applied takes a step about a group.
func applied(ctx context.Context, api API, step Step) error {
	_, err := Apply(ctx, api, step, 0)
	return err
}

// owns reports whether a rule of a group with these settings is this tool's.
func owns(s Settings, r Rule) bool {
	h := HolderPlan{Settings: s, tagKey: testKey}
	return h.Owns(r)
}

// newSim returns the embedded EC2 endpoint, and a client of the real SDK that calls it.
func newSim(o ec2sim.Options) (*ec2sim.Server, ec2sim.Region, *ec2.Client) {
	sim := ec2sim.New(o)
	return sim, sim.Region("", "us-east-1"), ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"),
		HTTPClient:  &http.Client{Transport: sim},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:     retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 2; o.MaxBackoff = time.Microsecond }),
	})
}

// mutations counts the mutating calls since the last count.
func mutations(sim *ec2sim.Server) int {
	n := 0
	for _, c := range sim.ResetCalls() {
		if c.Mutating {
			n++
		}
	}
	return n
}
