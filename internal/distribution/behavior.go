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
	"cloudfront-sg-sync/internal/doctor"

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

// ask has each origin asked for the paths that behaviors lead to it: those given, each at the first behavior that it
// matches, as CloudFront does, and one that the pattern suggests at the others. The default behavior comes last and
// matches every path. Both members of an origin group get requests.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html
func (r *reader) ask(paths []string) {
	members := map[string][]string{}
	if groups := r.config.OriginGroups; groups != nil {
		for _, g := range groups.Items {
			for _, m := range g.Members.Items {
				members[aws.ToString(g.Id)] = append(members[aws.ToString(g.Id)], aws.ToString(m.OriginId))
			}
		}
	}
	for _, b := range r.behaviors() {
		pattern, target := aws.ToString(b.PathPattern), aws.ToString(b.TargetOriginId)
		var asked []doctor.Path
		paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
			plain, _, _ := strings.Cut(p, "?")
			matched := matches(pattern, plain)
			if matched {
				asked = append(asked, doctor.Path{Path: "/" + strings.TrimPrefix(p, "/"), Pattern: pattern})
			}
			return matched
		})
		if asked == nil {
			p, guessed := r.suggested(pattern)
			asked = []doctor.Path{{Path: p, Pattern: pattern, Guessed: guessed}}
		}
		host, notes := r.host(b)
		for i := range r.d.Origins {
			o := &r.d.Origins[i]
			if o.LeftOut != "" || o.ID != target && !slices.Contains(members[target], o.ID) {
				continue
			}
			for _, note := range notes {
				if note = fmt.Sprintf("behavior %s: %s", pattern, note); !slices.Contains(o.Notes, note) {
					o.Notes = append(o.Notes, note)
				}
			}
			for _, p := range asked {
				o.examine(b.ViewerProtocolPolicy, host, p)
			}
		}
	}
}

// behaviors returns those of the distribution, the default one last.
func (r *reader) behaviors() (all []types.CacheBehavior) {
	if r.config.CacheBehaviors != nil {
		all = slices.Clone(r.config.CacheBehaviors.Items)
	}
	if b := r.config.DefaultCacheBehavior; b != nil {
		all = append(all, types.CacheBehavior{
			PathPattern: aws.String("*"), TargetOriginId: b.TargetOriginId, ViewerProtocolPolicy: b.ViewerProtocolPolicy,
			CachePolicyId: b.CachePolicyId, OriginRequestPolicyId: b.OriginRequestPolicyId, ForwardedValues: b.ForwardedValues, //nolint:staticcheck // many distributions still have it
			FunctionAssociations: b.FunctionAssociations, LambdaFunctionAssociations: b.LambdaFunctionAssociations,
		})
	}
	return all
}

// examine adds a path to the examinations with the schemes by which CloudFront asks for it, and with a Host header.
func (o *Origin) examine(viewers types.ViewerProtocolPolicy, host string, p doctor.Path) {
	p.Path = o.path + p.Path
	schemes := []string{strings.TrimSuffix(o.connections.Protocol, "-only")}
	if o.connections.Protocol == string(types.OriginProtocolPolicyMatchViewer) {
		schemes = []string{"https", "http"}
		if viewers != types.ViewerProtocolPolicyAllowAll { // those who come by HTTP are redirected or refused
			schemes = schemes[:1]
		}
	}
	for _, scheme := range schemes {
		at, err := doctor.ParseOrigin(scheme + "://" + o.hosts[scheme] + p.Path)
		if err != nil {
			o.LeftOut, o.Examinations, o.Notes = fmt.Sprintf("origin %s: %v", o.ID, err), nil, nil
			return
		}
		at.Other = 0 // the protocol policy says which ports there are
		same := slices.IndexFunc(o.Examinations, func(e doctor.Options) bool {
			return e.Host == host && e.Origin.URL.Scheme == scheme
		})
		if same < 0 {
			same = len(o.Examinations)
			one := doctor.Options{Origin: at, Host: host, Settings: o.settings, Distribution: o.connections}
			o.Examinations = append(o.Examinations, one)
		}
		paths := &o.Examinations[same].Distribution.Paths
		if !slices.ContainsFunc(*paths, func(other doctor.Path) bool { return other.Path == p.Path }) {
			*paths = append(*paths, p)
		}
	}
}

// matches reports whether a path matches a pattern: * stands for any characters, ? for one; the slash at the start may
// be left out. See "Path pattern" in
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func matches(pattern, p string) bool {
	expression := regexp.QuoteMeta(strings.TrimPrefix(pattern, "/"))
	expression = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(expression)
	return regexp.MustCompile("^/?" + expression + "$").MatchString(strings.TrimPrefix(p, "/"))
}

// host is the Host header that a behavior sends, if it is not the origin's name. The notes say what cannot be known.
func (r *reader) host(b types.CacheBehavior) (host string, notes []string) {
	f := r.forwarded(b)
	if f.host {
		if host = r.viewerHost(); host == "" {
			f.unsure = "the distribution forwards the viewers' Host header and has no alias"
		}
	}
	if f.unsure != "" {
		notes = append(notes, "cannot tell which Host header it sends, so the origin's name was used: "+f.unsure)
	}
	changes := func(function string, at types.EventType) {
		notes = append(notes, fmt.Sprintf("%s at %s may change requests, which was not looked at", function, at))
	}
	if functions := b.LambdaFunctionAssociations; functions != nil {
		for _, f := range functions.Items {
			changes("Lambda@Edge", f.EventType)
		}
	}
	if functions := b.FunctionAssociations; functions != nil {
		for _, f := range functions.Items {
			changes("CloudFront Function", f.EventType)
		}
	}
	return host, notes
}

// viewerHost is a name by which viewers come.
func (r *reader) viewerHost() string {
	for _, name := range r.d.Aliases {
		if !strings.HasPrefix(name, "*") {
			return name
		}
	}
	return r.d.DomainName
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
