package ec2sim

import "slices"

// regions lists the regions that exist.
//
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regions = []string{
	"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2",
	"eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

func regionExists(name string) bool { return slices.Contains(regions, name) }

// zones returns the site's availability zones.
func (s *site) zones() []string {
	return []string{s.region + "a", s.region + "b", s.region + "c"}
}

type describeRegionsInput struct {
	dryRun
	Names   []string `query:"RegionName"`
	All     bool     `query:"AllRegions"`
	Filters []filter `query:"Filter"`
}

type describeRegionsOutput struct {
	reply
	Regions []regionXML `xml:"regionInfo>item"`
}

type regionXML struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	OptIn    string `xml:"optInStatus"`
}

var regionKind = kind[regionXML]{
	notFound: "InvalidParameterValue", message: "Invalid region: [%s]",
	id: func(r regionXML) string { return r.Name },
	filters: attributes[regionXML]{
		"endpoint":      func(r regionXML) []string { return []string{r.Endpoint} },
		"opt-in-status": func(r regionXML) []string { return []string{r.OptIn} },
		"region-name":   func(r regionXML) []string { return []string{r.Name} },
	},
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
func (s *site) describeRegions(_ *call, in describeRegionsInput) (*describeRegionsOutput, error) {
	all := make([]regionXML, 0, len(regions))
	for _, name := range regions {
		all = append(all, regionXML{name, "ec2." + name + ".amazonaws.com", "opt-in-not-required"})
	}
	found, _, err := tableOf(&regionKind, all).describe(describeInput{Filters: in.Filters}, in.Names)
	if err != nil {
		return nil, err
	}
	return &describeRegionsOutput{Regions: found}, nil
}

type describeZonesInput struct {
	dryRun
	Names   []string `query:"ZoneName"`
	All     bool     `query:"AllAvailabilityZones"`
	Filters []filter `query:"Filter"`
}

type describeZonesOutput struct {
	reply
	Zones []zoneXML `xml:"availabilityZoneInfo>item"`
}

type zoneXML struct {
	Name   string `xml:"zoneName"`
	Region string `xml:"regionName"`
	State  string `xml:"zoneState"`
	Type   string `xml:"zoneType"`
	OptIn  string `xml:"optInStatus"`
}

var zoneKind = kind[zoneXML]{
	notFound: "InvalidParameterValue", message: "Invalid availability zone: [%s]",
	id: func(z zoneXML) string { return z.Name },
	filters: attributes[zoneXML]{
		"region-name": func(z zoneXML) []string { return []string{z.Region} },
		"state":       func(z zoneXML) []string { return []string{z.State} },
		"zone-name":   func(z zoneXML) []string { return []string{z.Name} },
		"zone-type":   func(z zoneXML) []string { return []string{z.Type} },
	},
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html
func (s *site) describeZones(_ *call, in describeZonesInput) (*describeZonesOutput, error) {
	var all []zoneXML
	for _, name := range s.zones() {
		all = append(all, zoneXML{name, s.region, "available", "availability-zone", "opt-in-not-required"})
	}
	found, _, err := tableOf(&zoneKind, all).describe(describeInput{Filters: in.Filters}, in.Names)
	if err != nil {
		return nil, err
	}
	return &describeZonesOutput{Zones: found}, nil
}
