package distribution

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/awserr"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// A reader reads the behaviors of a distribution.
type reader struct {
	ctx      context.Context
	api      API
	d        *Distribution
	config   *types.DistributionConfig
	forwards map[string]forwarding // by ID of a policy
}

// behaviors returns those that lead to each origin, by its ID. Both members of an origin group get requests.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html
func (r *reader) behaviors(paths []string) map[string][]Behavior {
	var raw []types.CacheBehavior
	if r.config.CacheBehaviors != nil {
		raw = slices.Clone(r.config.CacheBehaviors.Items)
	}
	if b := r.config.DefaultCacheBehavior; b != nil {
		raw = append(raw, types.CacheBehavior{
			PathPattern: aws.String("*"), TargetOriginId: b.TargetOriginId, ViewerProtocolPolicy: b.ViewerProtocolPolicy,
			CachePolicyId: b.CachePolicyId, OriginRequestPolicyId: b.OriginRequestPolicyId, ForwardedValues: b.ForwardedValues, //nolint:staticcheck // many distributions still have it
			FunctionAssociations: b.FunctionAssociations, LambdaFunctionAssociations: b.LambdaFunctionAssociations,
		})
	}
	members := map[string][]string{}
	if groups := r.config.OriginGroups; groups != nil {
		for _, g := range groups.Items {
			for _, m := range g.Members.Items {
				members[aws.ToString(g.Id)] = append(members[aws.ToString(g.Id)], aws.ToString(m.OriginId))
			}
		}
	}
	asked := r.assign(raw, paths)
	all := map[string][]Behavior{}
	for i, b := range raw {
		target := aws.ToString(b.TargetOriginId)
		origins := members[target]
		if origins == nil {
			origins = []string{target}
		}
		for _, one := range r.behavior(b, asked[i]) {
			for _, origin := range origins {
				all[origin] = append(all[origin], one)
			}
		}
	}
	return all
}

// assign gives each path to the first behavior whose pattern it matches, as CloudFront does. The default behavior comes
// last and matches every path.
func (r *reader) assign(raw []types.CacheBehavior, paths []string) map[int][]string {
	asked := map[int][]string{}
	for _, p := range paths {
		p = "/" + strings.TrimPrefix(p, "/")
		plain, _, _ := strings.Cut(p, "?")
		for i, b := range raw {
			if matches(aws.ToString(b.PathPattern), plain) {
				asked[i] = append(asked[i], p)
				break
			}
		}
	}
	return asked
}

// matches reports whether a path matches a pattern: * stands for any characters, ? for one; the slash at the start may
// be left out. See "Path pattern" in
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func matches(pattern, p string) bool {
	expression := regexp.QuoteMeta(strings.TrimPrefix(pattern, "/"))
	expression = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(expression)
	return regexp.MustCompile("^/?" + expression + "$").MatchString(strings.TrimPrefix(p, "/"))
}

// behavior returns a behavior once for each path that is asked for, or for one that its pattern suggests.
func (r *reader) behavior(b types.CacheBehavior, asked []string) []Behavior {
	one := Behavior{Pattern: aws.ToString(b.PathPattern), Secure: []bool{true, false}}
	if b.ViewerProtocolPolicy != types.ViewerProtocolPolicyAllowAll {
		one.Secure = []bool{true} // viewers who come by HTTP are redirected or refused
	}
	f := r.forwarded(b)
	if one.Unsure = f.unsure; f.host {
		if one.Host = r.viewerHost(); one.Host == "" {
			one.Unsure = "the distribution forwards the viewers' Host header and has no alias"
		}
	}
	one.Functions = functionsOf(b)
	if asked == nil {
		one.Path, one.Guessed = r.suggested(one.Pattern)
		return []Behavior{one}
	}
	var all []Behavior
	for _, one.Path = range asked {
		all = append(all, one)
	}
	return all
}

// viewerHost is a name by which viewers come.
func (r *reader) viewerHost() string {
	for _, name := range append(slices.Clone(r.d.Aliases), r.d.DomainName) {
		if name != "" && !strings.HasPrefix(name, "*") {
			return name
		}
	}
	return ""
}

// suggested is a path that matches a pattern. It is a guess where the pattern has wildcards.
func (r *reader) suggested(pattern string) (p string, guessed bool) {
	if pattern == "*" {
		return "/" + aws.ToString(r.config.DefaultRootObject), false
	}
	p = "/" + strings.TrimPrefix(pattern, "/")
	if cut := strings.IndexAny(p, "*?"); cut >= 0 {
		if dir := path.Dir(p[:cut] + "x"); dir != "/" {
			return dir + "/", true
		}
		return "/", true
	}
	return p, false
}

// A forwarding says whether the viewers' Host header gets to the origin.
type forwarding struct {
	host   bool
	unsure string
}

// forwarded asks the behavior's policies. What a cache policy has in its key is in the origin's request as well. See
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/controlling-origin-requests.html
func (r *reader) forwarded(b types.CacheBehavior) forwarding {
	if v := b.ForwardedValues; v != nil { //nolint:staticcheck // as above
		return forwarding{host: v.Headers != nil && slices.ContainsFunc(v.Headers.Items, isHost)}
	}
	request := r.policy(aws.ToString(b.OriginRequestPolicyId), "cloudfront:GetOriginRequestPolicy", r.requestHeaders)
	if request.host {
		return request
	}
	return cmp.Or(r.policy(aws.ToString(b.CachePolicyId), "cloudfront:GetCachePolicy", r.cacheHeaders), request)
}

func (r *reader) requestHeaders(id string) (behavior string, headers *types.Headers, err error) {
	out, err := r.api.requestPolicy(r.ctx, &cloudfront.GetOriginRequestPolicyInput{Id: &id})
	if err != nil {
		return "", nil, err
	}
	config := out.OriginRequestPolicy.OriginRequestPolicyConfig.HeadersConfig
	return string(config.HeaderBehavior), config.Headers, nil
}

func (r *reader) cacheHeaders(id string) (behavior string, headers *types.Headers, err error) {
	out, err := r.api.cachePolicy(r.ctx, &cloudfront.GetCachePolicyInput{Id: &id})
	if err != nil || out.CachePolicy.CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin == nil {
		return "", nil, err
	}
	config := out.CachePolicy.CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin.HeadersConfig
	return string(config.HeaderBehavior), config.Headers, nil
}

// policy reads a policy once.
func (r *reader) policy(id, permission string, get func(id string) (behavior string, headers *types.Headers, err error)) forwarding {
	f, known := r.forwards[id]
	if known || id == "" {
		return f
	}
	behavior, headers, err := get(id)
	named := headers != nil && slices.ContainsFunc(headers.Items, isHost)
	switch types.OriginRequestPolicyHeaderBehavior(behavior) {
	case types.OriginRequestPolicyHeaderBehaviorAllViewer, types.OriginRequestPolicyHeaderBehaviorAllViewerAndWhitelistCloudFront:
		f.host = true
	case types.OriginRequestPolicyHeaderBehaviorWhitelist:
		f.host = named
	case types.OriginRequestPolicyHeaderBehaviorAllExcept:
		f.host = !named
	}
	if err != nil {
		f.unsure = fmt.Sprintf("cannot read policy %s: %v", id, awserr.Explain(err, permission))
	}
	r.forwards[id] = f
	return f
}

func isHost(header string) bool { return strings.EqualFold(header, "Host") || header == "*" }

// functionsOf names the functions that may change or answer a request.
func functionsOf(b types.CacheBehavior) []string {
	var all []string
	if b.LambdaFunctionAssociations != nil {
		for _, f := range b.LambdaFunctionAssociations.Items {
			all = append(all, fmt.Sprintf("Lambda@Edge at %s", f.EventType))
		}
	}
	if b.FunctionAssociations != nil {
		for _, f := range b.FunctionAssociations.Items {
			all = append(all, fmt.Sprintf("CloudFront Function at %s", f.EventType))
		}
	}
	return all
}
