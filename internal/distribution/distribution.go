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
	LeftOut string
	// Examinations say how to examine it as CloudFront asks it: one for each scheme and Host header by which behaviors
	// reach it, with a path of each. Notes say what cannot be known from the settings.
	Examinations []doctor.Options
	Notes        []string

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
	r := reader{ctx: ctx, api: api, d: d, config: c, forwards: map[string]forwarding{}}
	r.ask(paths)
	for i := range d.Origins {
		if o := &d.Origins[i]; o.LeftOut == "" && o.Examinations == nil {
			o.LeftOut = "no cache behavior leads to it"
		}
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
	origin := Origin{ID: aws.ToString(o.Id), DomainName: aws.ToString(o.DomainName), path: aws.ToString(o.OriginPath)}
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
	if c.OriginSslProtocols != nil {
		for _, p := range c.OriginSslProtocols.Items {
			least := &origin.connections.MinTLS
			if v, known := doctor.TLSVersions[string(p)]; known && (*least == 0 || v < *least) {
				*least = v
			}
		}
	}
	if o.CustomHeaders != nil {
		for _, h := range o.CustomHeaders.Items {
			origin.connections.Headers.Add(aws.ToString(h.HeaderName), aws.ToString(h.HeaderValue))
		}
	}
	return origin
}
