// Package distribution reads a CloudFront distribution: how it talks to its origins, and what proves to them that a
// request is its own. It changes nothing.
package distribution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	ID, DomainName string
	// LeftOut says why it cannot be examined from here; then there is nothing below.
	LeftOut           string
	Protocol          string // its protocol policy
	HTTPPort          uint16
	HTTPSPort         uint16
	MinTLS            uint16 // of the package crypto/tls
	Families          doctor.Families
	ClientCertificate bool // CloudFront presents one
	// Headers are what CloudFront adds to each request. Their values are secrets.
	Headers   http.Header
	Settings  doctor.Settings
	Behaviors []Behavior
}

// A Behavior is a cache behavior that leads to an origin.
type Behavior struct {
	Pattern string // such as /api/*, and * for the default behavior
	Secure  []bool // whether requests to the origin are HTTPS: both, where the policy is the viewer's
	// Host is the Host header, if it is not the origin's name; Unsure says why that is unknown.
	Host, Unsure string
	Path         string // one to ask for
	Guessed      bool   // nobody named it
	Functions    []string
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
	r := reader{ctx: ctx, api: api, d: d, config: c, forwards: map[string]forwarding{}}
	all := r.behaviors(paths)
	for _, o := range c.Origins.Items {
		origin := read(o)
		origin.Behaviors = all[origin.ID]
		if origin.LeftOut == "" && origin.Behaviors == nil {
			origin.LeftOut = "no cache behavior leads to it"
		}
		for i := range origin.Behaviors {
			b := &origin.Behaviors[i]
			b.Path = aws.ToString(o.OriginPath) + b.Path
			if origin.Protocol != string(types.OriginProtocolPolicyMatchViewer) {
				b.Secure = []bool{origin.Protocol == string(types.OriginProtocolPolicyHttpsOnly)}
			}
		}
		d.Origins = append(d.Origins, origin)
	}
	return d, nil
}

func itemsOf(a *types.Aliases) []string {
	if a == nil {
		return []string{}
	}
	return append([]string{}, a.Items...)
}

// find looks for a domain name among the account's distributions. A wildcard alias stands for names with one label
// more. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/CNAMEs.html
func (d *Distribution) find(ctx context.Context, api API, name string) error {
	_, parent, _ := strings.Cut(name, ".")
	seen := 0
	for in := (&cloudfront.ListDistributionsInput{}); ; {
		out, err := api.list(ctx, in)
		if err != nil {
			return awserr.Explain(fmt.Errorf("look for the distribution of %s: %w", name, err), "cloudfront:ListDistributions")
		}
		for _, s := range out.DistributionList.Items {
			seen++
			names := append(itemsOf(s.Aliases), aws.ToString(s.DomainName))
			named := func(name string) bool {
				return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
			}
			if exact := named(name); exact || d.DomainName == "" && named("*."+parent) {
				if d.ID, d.DomainName = aws.ToString(s.Id), aws.ToString(s.DomainName); exact {
					return nil
				}
			}
		}
		in.Marker = out.DistributionList.NextMarker
		switch last := !aws.ToBool(out.DistributionList.IsTruncated) || in.Marker == nil; {
		case last && d.DomainName != "":
			return nil
		case last:
			return hint.New(fmt.Sprintf("none of the account's %d distributions has the domain name or alias %s", seen, name),
				"check the name, and whether --profile names the account of the distribution")
		}
	}
}

// bucketWebsite are the names of buckets that are websites, which are custom origins to CloudFront. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html
var bucketWebsite = regexp.MustCompile(`\.s3-website[.-][a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// read reduces an origin.
func read(o types.Origin) Origin {
	origin := Origin{ID: aws.ToString(o.Id), DomainName: aws.ToString(o.DomainName)}
	c := o.CustomOriginConfig
	switch {
	case o.VpcOriginConfig != nil:
		origin.LeftOut = "a VPC origin: only CloudFront reaches it, inside the VPC"
		return origin
	case c == nil, bucketWebsite.MatchString(origin.DomainName):
		origin.LeftOut = "an S3 bucket: it has no security group and no server to examine"
		return origin
	case aws.ToString(o.OriginAccessControlId) != "":
		origin.LeftOut = "CloudFront signs its requests to it (origin access control), and nobody else can"
		return origin
	case strings.Contains(origin.DomainName, "{{"):
		origin.LeftOut = "its domain name depends on the tenant: give the URL of one to cfsg doctor"
		return origin
	}
	origin.Protocol = string(c.OriginProtocolPolicy)
	origin.HTTPPort, origin.HTTPSPort = uint16(aws.ToInt32(c.HTTPPort)), uint16(aws.ToInt32(c.HTTPSPort))
	origin.Families = doctor.Families(cmp.Or(string(c.IpAddressType), string(types.IpAddressTypeIpv4)))
	origin.ClientCertificate = c.OriginMtlsConfig != nil && aws.ToString(c.OriginMtlsConfig.ClientCertificateArn) != ""
	origin.Settings = doctor.DefaultSettings
	seconds := func(to *time.Duration, from *int32) {
		if n := aws.ToInt32(from); n > 0 {
			*to = time.Duration(n) * time.Second
		}
	}
	seconds(&origin.Settings.ConnectionTimeout, o.ConnectionTimeout)
	seconds(&origin.Settings.ResponseTimeout, c.OriginReadTimeout)
	seconds(&origin.Settings.KeepAliveTimeout, c.OriginKeepaliveTimeout)
	origin.Settings.ConnectionAttempts = cmp.Or(int(aws.ToInt32(o.ConnectionAttempts)), origin.Settings.ConnectionAttempts)
	if c.OriginSslProtocols != nil {
		for _, p := range c.OriginSslProtocols.Items {
			if v, known := doctor.TLSVersions[string(p)]; known && (origin.MinTLS == 0 || v < origin.MinTLS) {
				origin.MinTLS = v
			}
		}
	}
	origin.Headers = http.Header{}
	if o.CustomHeaders != nil {
		for _, h := range o.CustomHeaders.Items {
			origin.Headers.Add(aws.ToString(h.HeaderName), aws.ToString(h.HeaderValue))
		}
	}
	return origin
}
