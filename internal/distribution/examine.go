package distribution

import (
	"fmt"
	"slices"
	"strconv"

	"cloudfront-sg-sync/internal/doctor"
)

// Examinations returns how to examine an origin as CloudFront asks it: one for each scheme and Host header by which
// behaviors reach it, with a path of each. The notes say what cannot be known from the settings.
func (o Origin) Examinations() (all []doctor.Options, notes []string, err error) {
	note := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	for _, b := range o.Behaviors {
		if b.Unsure != "" {
			note("behavior %s: cannot tell which Host header it sends, so the origin's name was used: %s", b.Pattern, b.Unsure)
		}
		for _, f := range b.Functions {
			note("behavior %s: %s may change requests, which was not looked at", b.Pattern, f)
		}
		for _, secure := range b.Secure {
			one, err := o.examination(secure, b)
			if err != nil {
				return nil, nil, err
			}
			same := slices.IndexFunc(all, func(other doctor.Options) bool {
				return other.Host == one.Host && other.Origin.URL.Scheme == one.Origin.URL.Scheme
			})
			if same < 0 {
				all = append(all, one)
				continue
			}
			paths := &all[same].Distribution.Paths
			if p := one.Distribution.Paths[0]; !slices.ContainsFunc(*paths, func(other doctor.Path) bool { return other.Path == p.Path }) {
				*paths = append(*paths, p)
			}
		}
	}
	return all, notes, nil
}

// examination is that of a behavior over one scheme.
func (o Origin) examination(secure bool, b Behavior) (doctor.Options, error) {
	scheme, port, usual := "http", o.HTTPPort, uint16(80)
	if secure {
		scheme, port, usual = "https", o.HTTPSPort, 443
	}
	host := o.DomainName
	if port != usual {
		host += ":" + strconv.Itoa(int(port))
	}
	at, err := doctor.ParseOrigin(scheme + "://" + host + b.Path)
	if err != nil {
		return doctor.Options{}, fmt.Errorf("origin %s: %w", o.ID, err)
	}
	at.Other = 0 // the protocol policy says which ports there are
	return doctor.Options{
		Origin: at, Host: b.Host, Settings: o.Settings,
		Distribution: &doctor.Distribution{
			Protocol: o.Protocol, Families: o.Families, MinTLS: o.MinTLS, ClientCertificate: o.ClientCertificate, Headers: o.Headers,
			Paths: []doctor.Path{{Path: b.Path, Pattern: b.Pattern, Guessed: b.Guessed}},
		},
	}, nil
}
