package iprange

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Service has the published prefixes of one service.
type Service struct {
	Name       string         // such as CLOUDFRONT
	IPv4, IPv6 []netip.Prefix // as published, in the order of the file
}

// Services reads one whole ip-ranges.json and returns its services, sorted by name. It lists the services to choose
// from; only [Decode] verifies prefixes.
func Services(r io.Reader) ([]Service, error) {
	byName := map[string]*Service{}
	d := newDecoder(r)
	d.each = func(f family, entry jsontext.Value) error {
		name, text, err := d.serviceAndPrefix(f, entry)
		if err != nil {
			return err
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%s (%s) is not a prefix in CIDR notation", quote(text), name)
		}
		s := byName[name]
		if s == nil {
			s = &Service{Name: name}
			byName[name] = s
		}
		if f == familyIPv4 {
			s.IPv4 = append(s.IPv4, prefix)
		} else {
			s.IPv6 = append(s.IPv6, prefix)
		}
		return nil
	}
	if err := d.document(); err != nil {
		return nil, d.src.explain(err)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	services := make([]Service, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		services = append(services, *byName[name])
	}
	return services, nil
}
