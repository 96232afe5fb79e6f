package distribution

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/doctor"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/smithy-go"
)

var errDenied = &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}

// fake is an API with one distribution, on the second page of the list. Its policies are named by what they do.
func fake(config *types.DistributionConfig) API {
	return API{
		list: func(_ context.Context, in *cloudfront.ListDistributionsInput, _ ...func(*cloudfront.Options)) (*cloudfront.ListDistributionsOutput, error) {
			other := types.DistributionSummary{Id: aws.String("E2OTHER"), DomainName: aws.String("d2.cloudfront.net")}
			if in.Marker == nil {
				return &cloudfront.ListDistributionsOutput{DistributionList: &types.DistributionList{
					Items: []types.DistributionSummary{other}, IsTruncated: aws.Bool(true), NextMarker: aws.String("next"),
				}}, nil
			}
			one := types.DistributionSummary{Id: aws.String("E1SHOP"), DomainName: aws.String("d1.cloudfront.net"), Aliases: config.Aliases}
			return &cloudfront.ListDistributionsOutput{DistributionList: &types.DistributionList{Items: []types.DistributionSummary{one}, IsTruncated: aws.Bool(false)}}, nil
		},
		config: func(_ context.Context, in *cloudfront.GetDistributionConfigInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetDistributionConfigOutput, error) {
			switch *in.Id {
			case "E1SHOP":
				return &cloudfront.GetDistributionConfigOutput{DistributionConfig: config}, nil
			case "E3SECRET":
				return nil, errDenied
			}
			return nil, new(types.NoSuchDistribution)
		},
		requestPolicy: func(_ context.Context, in *cloudfront.GetOriginRequestPolicyInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetOriginRequestPolicyOutput, error) {
			if *in.Id == "denied" {
				return nil, errDenied
			}
			behavior, headers, _ := strings.Cut(*in.Id, ":")
			return &cloudfront.GetOriginRequestPolicyOutput{OriginRequestPolicy: &types.OriginRequestPolicy{OriginRequestPolicyConfig: &types.OriginRequestPolicyConfig{
				HeadersConfig: &types.OriginRequestPolicyHeadersConfig{
					HeaderBehavior: types.OriginRequestPolicyHeaderBehavior(behavior), Headers: &types.Headers{Items: strings.Fields(headers)},
				},
			}}}, nil
		},
		cachePolicy: func(_ context.Context, in *cloudfront.GetCachePolicyInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetCachePolicyOutput, error) {
			behavior, headers, _ := strings.Cut(*in.Id, ":")
			return &cloudfront.GetCachePolicyOutput{CachePolicy: &types.CachePolicy{CachePolicyConfig: &types.CachePolicyConfig{
				ParametersInCacheKeyAndForwardedToOrigin: &types.ParametersInCacheKeyAndForwardedToOrigin{HeadersConfig: &types.CachePolicyHeadersConfig{
					HeaderBehavior: types.CachePolicyHeaderBehavior(behavior), Headers: &types.Headers{Items: strings.Fields(headers)},
				}},
			}}}, nil
		},
	}
}

// shop is a distribution whose origin is custom, with a default behavior.
func shop(tweak func(*types.DistributionConfig, *types.Origin)) *types.DistributionConfig {
	o := types.Origin{Id: aws.String("web"), DomainName: aws.String("origin.example.com"), OriginPath: aws.String("/v1"), CustomOriginConfig: &types.CustomOriginConfig{
		HTTPPort: aws.Int32(80), HTTPSPort: aws.Int32(8443), OriginProtocolPolicy: types.OriginProtocolPolicyHttpsOnly,
	}}
	c := &types.DistributionConfig{
		Enabled: aws.Bool(true), Aliases: &types.Aliases{Items: []string{"*.example.com", "www.example.com"}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("web"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll},
	}
	if tweak != nil {
		tweak(c, &o)
	}
	c.Origins = &types.Origins{Items: []types.Origin{o}}
	return c
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"E1SHOP": "E1SHOP", "arn:aws:cloudfront::123456789012:distribution/E1SHOP": "E1SHOP",
		"d1.cloudfront.net": "E1SHOP", "WWW.example.com.": "E1SHOP", "blue.example.com": "E1SHOP",
		"a.b.example.com": "none of the account's 2 distributions has the domain name or alias a.b.example.com",
		"example.com":     "none of the account's 2 distributions",
		"E9NONE":          "there is no distribution E9NONE in this account",
		"E3SECRET":        "cloudfront:GetDistributionConfig",
	} {
		d, err := Read(t.Context(), fake(shop(nil)), name, nil)
		if err != nil && (want == "E1SHOP" || !strings.Contains(err.Error(), want)) || err == nil && d.ID != want {
			t.Errorf("%s: %+v, %v, want %s", name, d, err, want)
		}
	}
}

// The settings say what CloudFront sends: where, as which host, and for what.
func TestExaminations(t *testing.T) {
	behavior := func(pattern string, tweak func(*types.CacheBehavior)) types.CacheBehavior {
		b := types.CacheBehavior{PathPattern: &pattern, TargetOriginId: aws.String("web"), ViewerProtocolPolicy: types.ViewerProtocolPolicyHttpsOnly}
		if tweak != nil {
			tweak(&b)
		}
		return b
	}
	request := func(id string) func(*types.DistributionConfig, *types.Origin) {
		return func(c *types.DistributionConfig, _ *types.Origin) { c.DefaultCacheBehavior.OriginRequestPolicyId = &id }
	}
	patterns := func(c *types.DistributionConfig, _ *types.Origin) {
		c.DefaultRootObject = aws.String("index.html")
		c.CacheBehaviors = &types.CacheBehaviors{Items: []types.CacheBehavior{behavior("/api/*", nil), behavior("*.php", nil), behavior("about", nil)}}
	}
	protocol := func(p types.OriginProtocolPolicy, viewers types.ViewerProtocolPolicy) func(*types.DistributionConfig, *types.Origin) {
		return func(c *types.DistributionConfig, o *types.Origin) {
			c.DefaultCacheBehavior.ViewerProtocolPolicy, o.CustomOriginConfig.OriginProtocolPolicy = viewers, p
		}
	}
	const origin, plain = "https://origin.example.com:8443/v1", "http://origin.example.com/v1"
	for _, c := range []struct {
		name  string
		tweak func(*types.DistributionConfig, *types.Origin)
		paths []string
		want  string
	}{
		{"the default behavior", nil, nil, origin + "/ [/v1/]"},
		{"HTTP only", protocol("http-only", "allow-all"), nil, plain + "/ [/v1/]"},
		{"as viewers come", protocol("match-viewer", "allow-all"), nil, origin + "/ [/v1/]; " + plain + "/ [/v1/]"},
		{"as viewers come, by HTTPS", protocol("match-viewer", "redirect-to-https"), nil, origin + "/ [/v1/]"},

		{"all viewers' headers", request("allViewer"), nil, origin + "/ Host: www.example.com [/v1/]"},
		{"all but Host", request("allExcept:Host"), nil, origin + "/ [/v1/]"},
		{"all but another", request("allExcept:X-A"), nil, origin + "/ Host: www.example.com [/v1/]"},
		{"the Host", request("whitelist:X-A host"), nil, origin + "/ Host: www.example.com [/v1/]"},
		{"another header", request("whitelist:X-A"), nil, origin + "/ [/v1/]"},
		{"a policy that may not be read", request("denied"), nil, origin + "/ [/v1/] note: behavior *: cannot tell which Host header it sends, so the origin's name was used: cannot read policy denied"},
		{"the Host in the cache key", func(c *types.DistributionConfig, _ *types.Origin) {
			c.DefaultCacheBehavior.CachePolicyId = aws.String("whitelist:Host")
		}, nil, origin + "/ Host: www.example.com [/v1/]"},
		{"the old form", func(c *types.DistributionConfig, _ *types.Origin) {
			c.DefaultCacheBehavior.ForwardedValues = &types.ForwardedValues{Headers: &types.Headers{Items: []string{"*"}}} //nolint:staticcheck // many distributions still have it
		}, nil, origin + "/ Host: www.example.com [/v1/]"},
		{"a function", func(c *types.DistributionConfig, _ *types.Origin) {
			c.DefaultCacheBehavior.LambdaFunctionAssociations = &types.LambdaFunctionAssociations{Items: []types.LambdaFunctionAssociation{{EventType: types.EventTypeOriginRequest}}}
		}, nil, origin + "/ [/v1/] note: behavior *: Lambda@Edge at origin-request may change requests"},

		{"a path of each behavior", patterns, nil, origin + "/api/ [/v1/api/? /v1/? /v1/about /v1/index.html]"},
		{"paths that are named", patterns, []string{"/api/a?b=c", "x.php"}, origin + "/api/a?b=c [/v1/api/a?b=c /v1/x.php /v1/about /v1/index.html]"},
		{"an origin group", func(c *types.DistributionConfig, _ *types.Origin) {
			c.OriginGroups = &types.OriginGroups{Items: []types.OriginGroup{{Id: aws.String("both"), Members: &types.OriginGroupMembers{Items: []types.OriginGroupMember{{OriginId: aws.String("web")}}}}}}
			c.DefaultCacheBehavior.TargetOriginId = aws.String("both")
		}, nil, origin + "/ [/v1/]"},

		{"no behavior", func(c *types.DistributionConfig, _ *types.Origin) {
			c.DefaultCacheBehavior.TargetOriginId = aws.String("api")
		}, nil, "left out: no cache behavior leads to it"},
		{"a bucket", func(_ *types.DistributionConfig, o *types.Origin) { o.CustomOriginConfig = nil }, nil, "left out: an S3 bucket"},
		{"a bucket's website", func(_ *types.DistributionConfig, o *types.Origin) {
			o.DomainName = aws.String("b.s3-website-us-east-1.amazonaws.com")
		}, nil, "left out: an S3 bucket"},
		{"a VPC origin", func(_ *types.DistributionConfig, o *types.Origin) { o.VpcOriginConfig = new(types.VpcOriginConfig) }, nil, "left out: a VPC origin"},
		{"signed requests", func(_ *types.DistributionConfig, o *types.Origin) { o.OriginAccessControlId = aws.String("E1") }, nil, "left out: CloudFront signs"},
		{"a tenant's", func(_ *types.DistributionConfig, o *types.Origin) { o.DomainName = aws.String("{{name}}.example.com") }, nil, "left out: its domain name depends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Read(t.Context(), fake(shop(c.tweak)), "E1SHOP", c.paths)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(d.Origins[0]); !strings.HasPrefix(got, c.want) || strings.HasSuffix(c.want, "]") && got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// told writes the examinations of an origin, and the notes. Paths that are guesses end with a question mark.
func told(o Origin) string {
	if o.LeftOut != "" {
		return "left out: " + o.LeftOut
	}
	var texts []string
	for _, e := range o.Examinations {
		text := e.Origin.String()
		if e.Host != "" {
			text += " Host: " + e.Host
		}
		var paths []string
		for _, p := range e.Distribution.Paths {
			paths = append(paths, p.Path+map[bool]string{true: "?"}[p.Guessed])
		}
		texts = append(texts, fmt.Sprintf("%s [%s]", text, strings.Join(paths, " ")))
	}
	text := strings.Join(texts, "; ")
	for _, n := range o.Notes {
		text += " note: " + n
	}
	return text
}

// The settings of an origin are its own, or else CloudFront's, and the values of its headers are not shown.
func TestSettings(t *testing.T) {
	d, err := Read(t.Context(), fake(shop(nil)), "E1SHOP", nil)
	if err != nil {
		t.Fatal(err)
	}
	if o := d.Origins[0].Examinations[0]; o.Settings != doctor.DefaultSettings || o.Distribution.Families != "ipv4" || o.Distribution.MinTLS != 0 || o.Distribution.ClientCertificate {
		t.Errorf("%+v", o)
	}
	d, err = Read(t.Context(), fake(shop(func(_ *types.DistributionConfig, o *types.Origin) {
		o.ConnectionAttempts, o.ConnectionTimeout = aws.Int32(1), aws.Int32(2)
		c := o.CustomOriginConfig
		c.OriginReadTimeout, c.OriginKeepaliveTimeout, c.IpAddressType = aws.Int32(60), aws.Int32(7), types.IpAddressTypeDualStack
		c.OriginSslProtocols = &types.OriginSslProtocols{Items: []types.SslProtocol{types.SslProtocolTLSv12, types.SslProtocolTLSv11}}
		c.OriginMtlsConfig = &types.OriginMtlsConfig{ClientCertificateArn: aws.String("arn:aws:acm:us-east-1:123456789012:certificate/1")}
		o.CustomHeaders = &types.CustomHeaders{Items: []types.OriginCustomHeader{{HeaderName: aws.String("x-verify"), HeaderValue: aws.String("hunter2")}}}
	})), "E1SHOP", nil)
	if err != nil {
		t.Fatal(err)
	}
	o := d.Origins[0].Examinations[0].Distribution
	got := fmt.Sprintln(d.Origins[0].Examinations[0].Settings, o.Families, o.ClientCertificate, o.MinTLS == doctor.TLSVersions["TLSv1.1"], o.Headers.Get("X-Verify"))
	if want := "{1 2 s 7 s 60 s} dualstack true true hunter2\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A reader that is denied the list says which permission it needs.
func TestListDenied(t *testing.T) {
	api := fake(shop(nil))
	api.list = func(context.Context, *cloudfront.ListDistributionsInput, ...func(*cloudfront.Options)) (*cloudfront.ListDistributionsOutput, error) {
		return nil, errDenied
	}
	_, err := Read(t.Context(), api, "www.example.com", nil)
	if !errors.Is(err, errDenied) || !strings.Contains(err.Error(), "cloudfront:ListDistributions") {
		t.Error(err)
	}
}
