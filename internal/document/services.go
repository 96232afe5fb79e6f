package document

import (
	"net/netip"
	"slices"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"
)

// A Services names all services of a file, in JSON: docs/schema/services.schema.json.
type Services struct {
	Services []serviceCount `json:"services"`
}

type serviceCount struct {
	Name string      `json:"name"`
	IPv4 familyCount `json:"ipv4"`
	IPv6 familyCount `json:"ipv6"`
}

type familyCount struct {
	Published int `json:"published"`
	Merged    int `json:"merged"`
	// Size counts addresses of IPv4, and /64 networks of IPv6.
	Size uint64 `json:"size"`
}

func count(published, merged []netip.Prefix) familyCount {
	return familyCount{len(published), len(merged), ipspace.Size(merged)}
}

// NewServices returns the document of all services of a file.
func NewServices(services []iprange.Service) Services {
	d := Services{Services: []serviceCount{}}
	for _, s := range services {
		merged4, merged6 := ipspace.Split(iprange.Merge(slices.Concat(s.IPv4, s.IPv6)))
		d.Services = append(d.Services, serviceCount{s.Name, count(s.IPv4, merged4), count(s.IPv6, merged6)})
	}
	return d
}
