package document

import (
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
	Published int    `json:"published"`
	Merged    int    `json:"merged"`
	Size      uint64 `json:"size"`
}

// NewServices returns the document of all services of a file.
func NewServices(services []iprange.Service) Services {
	d := Services{Services: []serviceCount{}}
	for _, s := range services {
		merged4, merged6 := ipspace.Split(iprange.Merge(slices.Concat(s.IPv4, s.IPv6)))
		d.Services = append(d.Services, serviceCount{
			s.Name,
			familyCount{len(s.IPv4), len(merged4), ipspace.Size(merged4)},
			familyCount{len(s.IPv6), len(merged6), ipspace.Size(merged6)},
		})
	}
	return d
}
