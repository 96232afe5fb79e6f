package approach

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/words"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Demands is what the rules of an Application Load Balancer demand of requests before they pass them on.
type Demands struct {
	Known    bool
	Demanded bool // a secret header, or a client certificate, by all rules
	Cause    string
}

// Demands reads what a load balancer demands on a port: one of the headers, or any where none are named. It is nil if
// there is no such Application Load Balancer: others have no rules.
func (c Client) Demands(ctx context.Context, balancer string, port uint16, headers []string) *Demands {
	unknown := func(err error) *Demands {
		return &Demands{Cause: fmt.Sprintf("cannot see the rules of load balancer %s: %v", balancer, unseen(err))}
	}
	lb, err := c.LoadBalancer(ctx, balancer)
	if err != nil {
		return unknown(err)
	}
	if lb == nil || lb.Type != elbtypes.LoadBalancerTypeEnumApplication {
		return nil
	}
	at := slices.IndexFunc(lb.Listeners, func(l elbtypes.Listener) bool { return aws.ToInt32(l.Port) == int32(port) })
	if at < 0 {
		return nil
	}
	where := fmt.Sprintf("listener %d of load balancer %s", port, balancer)
	// In mode passthrough, the targets decide. See
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/mutual-authentication.html
	if m := lb.Listeners[at].MutualAuthentication; m != nil && aws.ToString(m.Mode) == "verify" {
		return &Demands{true, true, where + " demands a client certificate"}
	}
	in := &elb.DescribeRulesInput{ListenerArn: lb.Listeners[at].ListenerArn}
	rules, err := all(ctx, c.rules, in, &in.Marker,
		func(out *elb.DescribeRulesOutput) ([]elbtypes.Rule, *string) { return out.Rules, out.NextMarker })
	if err != nil {
		return unknown(err)
	}
	guards := func(c elbtypes.RuleCondition) bool { return demands(c, headers) }
	var open []string
	for _, r := range rules {
		if slices.ContainsFunc(r.Actions, isForward) && !slices.ContainsFunc(r.Conditions, guards) {
			open = append(open, aws.ToString(r.Priority))
		}
	}
	secret := cmp.Or(strings.Join(headers, " or "), "a secret header")
	if len(open) == 0 {
		return &Demands{true, true, fmt.Sprintf("each rule of %s that forwards demands %s", where, secret)}
	}
	return &Demands{true, false, fmt.Sprintf("rule %s of %s forwards without %s", words.Few(open), where, secret)}
}

func isForward(a elbtypes.Action) bool { return a.Type == elbtypes.ActionTypeEnumForward }

// nobodysSecret is a value that only a pattern for everything matches.
const nobodysSecret = "cfsg-e8a1f3"

// demands reports whether a condition holds only for those who know the value of a header. One of its values is enough,
// so all must be such that not everything matches them. See
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HttpHeaderConditionConfig.html
func demands(c elbtypes.RuleCondition, headers []string) bool {
	h := c.HttpHeaderConfig
	if aws.ToString(c.Field) != "http-header" || h == nil {
		return false
	}
	named := func(name string) bool { return strings.EqualFold(name, aws.ToString(h.HttpHeaderName)) }
	if len(headers) > 0 && !slices.ContainsFunc(headers, named) {
		return false
	}
	return !slices.ContainsFunc(h.Values, func(pattern string) bool {
		all, err := path.Match(strings.NewReplacer("[", "x", `\`, "x").Replace(pattern), nobodysSecret)
		return err != nil || all
	}) && !slices.ContainsFunc(h.RegexValues, func(pattern string) bool {
		r, err := regexp.Compile(pattern)
		return err != nil || r.MatchString(nobodysSecret)
	})
}
