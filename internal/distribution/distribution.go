// Package distribution reads a CloudFront distribution: how it talks to its origins, and what proves to them that a
// request is its own. It changes nothing.
package distribution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/hint"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// An API has the operations of CloudFront that this package calls. Holding no whole client keeps the program small; see
// [cloudfront-sg-sync/internal/engine.Narrow].
type API struct {
	list          operation[cloudfront.ListDistributionsInput, cloudfront.ListDistributionsOutput]
	config        operation[cloudfront.GetDistributionConfigInput, cloudfront.GetDistributionConfigOutput]
	requestPolicy operation[cloudfront.GetOriginRequestPolicyInput, cloudfront.GetOriginRequestPolicyOutput]
	cachePolicy   operation[cloudfront.GetCachePolicyInput, cloudfront.GetCachePolicyOutput]
}

type operation[In, Out any] func(context.Context, *In, ...func(*cloudfront.Options)) (*Out, error)

// Narrow returns what this package needs of a client.
func Narrow(c *cloudfront.Client) API {
	return API{c.ListDistributions, c.GetDistributionConfig, c.GetOriginRequestPolicy, c.GetCachePolicy}
}

// A Distribution is a CloudFront distribution, reduced to how it talks to its origins.
type Distribution struct {
	ID string `json:"id"`
	// DomainName is that which CloudFront gave it; empty where it was named by its ID.
	DomainName string   `json:"domainName"`
	Aliases    []string `json:"aliases"`
	Enabled    bool     `json:"enabled"`
	// WebACL is the one that CloudFront asks about viewers' requests, or empty.
	WebACL  string   `json:"webAcl"`
	Origins []Origin `json:"-"`
}

// An Origin is where a distribution gets its objects.
type Origin struct {
	ID         string   `json:"id"`
	DomainName string   `json:"domainName"`
	LeftOut    string   `json:"leftOut"` // why it cannot be examined from here; then there is nothing below
	Notes      []string `json:"notes"`   // what cannot be known from the settings
	// Examinations say how to examine it as CloudFront asks it: one for each scheme and Host header by which behaviors
	// reach it, with a path of each.
	Examinations []doctor.Options `json:"-"`

	path        string
	hosts       map[string]string // with a port, if it is not the usual one, by scheme
	settings    doctor.Settings
	connections doctor.Distribution // the rest of how CloudFront talks to it
}

var idPattern = regexp.MustCompile(`^E[0-9A-Z]{5,20}$`)

// Read reads a distribution, named by its ID, its ARN, its domain name, or an alias. Each path is asked for at the
// first behavior that it matches, instead of the path that the behavior's pattern suggests.
func Read(ctx context.Context, api API, name string, paths []string) (*Distribution, error) {
	d := &Distribution{ID: name[strings.LastIndex(name, "/")+1:]} // of an ARN, as of an ID
	if !idPattern.MatchString(d.ID) {
		if err := d.find(ctx, api, strings.ToLower(strings.TrimSuffix(name, "."))); err != nil {
			return nil, err
		}
	}
	out, err := api.config(ctx, &cloudfront.GetDistributionConfigInput{Id: &d.ID})
	if _, none := errors.AsType[*types.NoSuchDistribution](err); none {
		return nil, hint.New("there is no distribution "+d.ID+" in this account", "name one of the account of these credentials, or use --profile")
	}
	if err != nil {
		return nil, awserr.Explain(fmt.Errorf("read distribution %s: %w", d.ID, err), "cloudfront:GetDistributionConfig")
	}
	c := out.DistributionConfig
	d.Enabled, d.WebACL, d.Aliases = aws.ToBool(c.Enabled), aws.ToString(c.WebACLId), itemsOf(c.Aliases)
	for _, o := range c.Origins.Items {
		d.Origins = append(d.Origins, read(o))
	}
	(&reader{ctx, api, d, c, map[string]forwarding{}}).ask(paths)
	for i := range d.Origins {
		if o := &d.Origins[i]; o.LeftOut == "" && o.Examinations == nil {
			o.LeftOut = "no cache behavior leads to it"
		}
	}
	return d, nil
}

func itemsOf(a *types.Aliases) []string {
	return append([]string{}, cmp.Or(a, new(types.Aliases)).Items...)
}

// find looks for a domain name among the account's distributions. A wildcard alias stands for names with one label
// more. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/CNAMEs.html
func (d *Distribution) find(ctx context.Context, api API, name string) error {
	var all []types.DistributionSummary
	for in, more := (&cloudfront.ListDistributionsInput{}), true; more; more = in.Marker != nil {
		out, err := api.list(ctx, in)
		if err != nil {
			return awserr.Explain(fmt.Errorf("look for the distribution of %s: %w", name, err), "cloudfront:ListDistributions")
		}
		all = append(all, out.DistributionList.Items...)
		if in.Marker = nil; aws.ToBool(out.DistributionList.IsTruncated) {
			in.Marker = out.DistributionList.NextMarker
		}
	}
	_, parent, _ := strings.Cut(name, ".")
	for _, wanted := range []string{name, "*." + parent} {
		for _, s := range all {
			names := append(itemsOf(s.Aliases), aws.ToString(s.DomainName))
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, wanted) }) {
				d.ID, d.DomainName = aws.ToString(s.Id), aws.ToString(s.DomainName)
				return nil
			}
		}
	}
	return hint.New(fmt.Sprintf("none of the account's %d distributions has the domain name or alias %s", len(all), name),
		"check the name, and whether --profile names the account of the distribution")
}

// bucketWebsite are the names of buckets that are websites, which are custom origins to CloudFront. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html
var bucketWebsite = regexp.MustCompile(`\.s3-website[.-][a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// read reduces an origin.
func read(o types.Origin) Origin {
	origin := Origin{
		ID: aws.ToString(o.Id), DomainName: aws.ToString(o.DomainName), path: aws.ToString(o.OriginPath), Notes: []string{},
	}
	c := o.CustomOriginConfig
	switch {
	case o.VpcOriginConfig != nil:
		origin.LeftOut = "a VPC origin: only CloudFront reaches it, inside the VPC"
	case c == nil, bucketWebsite.MatchString(origin.DomainName):
		origin.LeftOut = "an S3 bucket: it has no security group and no server to examine"
	case aws.ToString(o.OriginAccessControlId) != "":
		origin.LeftOut = "CloudFront signs its requests to it (origin access control), and nobody else can"
	case strings.Contains(origin.DomainName, "{{"):
		origin.LeftOut = "its domain name depends on the tenant: give the URL of one to cfsg doctor"
	}
	if origin.LeftOut != "" {
		return origin
	}
	origin.hosts = map[string]string{
		"http":  strings.TrimSuffix(fmt.Sprintf("%s:%d", origin.DomainName, aws.ToInt32(c.HTTPPort)), ":80"),
		"https": strings.TrimSuffix(fmt.Sprintf("%s:%d", origin.DomainName, aws.ToInt32(c.HTTPSPort)), ":443"),
	}
	seconds := func(configured *int32, usual doctor.Seconds) doctor.Seconds {
		return cmp.Or(doctor.Seconds(aws.ToInt32(configured))*doctor.Seconds(time.Second), usual)
	}
	usual := doctor.DefaultSettings
	origin.settings = doctor.Settings{
		ConnectionAttempts: cmp.Or(int(aws.ToInt32(o.ConnectionAttempts)), usual.ConnectionAttempts),
		ConnectionTimeout:  seconds(o.ConnectionTimeout, usual.ConnectionTimeout),
		KeepAliveTimeout:   seconds(c.OriginKeepaliveTimeout, usual.KeepAliveTimeout),
		ResponseTimeout:    seconds(c.OriginReadTimeout, usual.ResponseTimeout),
	}
	origin.connections = doctor.Distribution{
		Protocol:          string(c.OriginProtocolPolicy),
		Families:          string(cmp.Or(c.IpAddressType, types.IpAddressTypeIpv4)),
		ClientCertificate: c.OriginMtlsConfig != nil && aws.ToString(c.OriginMtlsConfig.ClientCertificateArn) != "",
		Headers:           http.Header{},
	}
	for _, p := range cmp.Or(c.OriginSslProtocols, new(types.OriginSslProtocols)).Items {
		least := &origin.connections.MinTLS
		if v, known := doctor.TLSVersions[string(p)]; known && (*least == 0 || v < *least) {
			*least = v
		}
	}
	for _, h := range cmp.Or(o.CustomHeaders, new(types.CustomHeaders)).Items {
		origin.connections.Headers.Add(aws.ToString(h.HeaderName), aws.ToString(h.HeaderValue))
	}
	return origin
}

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
	for _, g := range cmp.Or(r.config.OriginGroups, new(types.OriginGroups)).Items {
		for _, m := range g.Members.Items {
			members[aws.ToString(g.Id)] = append(members[aws.ToString(g.Id)], aws.ToString(m.OriginId))
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
func (r *reader) behaviors() []types.CacheBehavior {
	all := slices.Clone(cmp.Or(r.config.CacheBehaviors, new(types.CacheBehaviors)).Items)
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
			o.LeftOut, o.Examinations, o.Notes = fmt.Sprintf("origin %s: %v", o.ID, err), nil, []string{}
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

// matches reports whether a path matches a pattern: * stands for any characters, ? for one. See "Path pattern" in
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func matches(pattern, p string) bool {
	expression := regexp.QuoteMeta(strings.TrimPrefix(pattern, "/"))
	expression = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(expression)
	return regexp.MustCompile("^/?" + expression + "$").MatchString(strings.TrimPrefix(p, "/"))
}

// host is the Host header that a behavior sends, if it is not the origin's name. The notes say what cannot be known.
func (r *reader) host(b types.CacheBehavior) (host string, notes []string) {
	f := r.forwarded(b)
	isWildcard := func(name string) bool { return strings.HasPrefix(name, "*") }
	if f.host {
		names := slices.DeleteFunc(append(slices.Clone(r.d.Aliases), r.d.DomainName), isWildcard)
		if host = names[0]; host == "" {
			f.unsure = "the distribution forwards the viewers' Host header and has no alias"
		}
	}
	if f.unsure != "" {
		notes = append(notes, "cannot tell which Host header it sends, so the origin's name was used: "+f.unsure)
	}
	changes := func(function string, at types.EventType) {
		notes = append(notes, fmt.Sprintf("%s at %s may change requests, which was not looked at", function, at))
	}
	for _, f := range cmp.Or(b.LambdaFunctionAssociations, new(types.LambdaFunctionAssociations)).Items {
		changes("Lambda@Edge", f.EventType)
	}
	for _, f := range cmp.Or(b.FunctionAssociations, new(types.FunctionAssociations)).Items {
		changes("CloudFront Function", f.EventType)
	}
	return host, notes
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
