package door

import (
	"context"
	"slices"

	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// AttachmentAPI is the part of the EC2 client that [Attached] calls.
type AttachmentAPI interface {
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
}

// valuesPerFilter is the most values that a filter may have. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
const valuesPerFilter = 200

// Attached finds the network interfaces that any of the groups is attached to, each with all groups that are attached
// there. The groups that are not among the given ones are described; the rules of the others are taken as given.
func Attached(ctx context.Context, api AttachmentAPI, groups []secgroup.Group) ([]Subject, error) {
	known := map[string]secgroup.Group{}
	var ids []string
	for _, g := range groups {
		known[g.ID] = g
		ids = append(ids, g.ID)
	}
	// An interface with groups of two calls comes with both.
	interfaces := map[string]types.NetworkInterface{}
	var found, others []string
	for some := range slices.Chunk(ids, valuesPerFilter) {
		described, err := describeInterfaces(ctx, api, "group-id", some)
		if err != nil {
			return nil, err
		}
		for _, i := range described {
			id := aws.ToString(i.NetworkInterfaceId)
			if _, again := interfaces[id]; !again {
				interfaces[id] = i
				found = append(found, id)
			}
		}
	}
	for _, id := range found {
		for _, group := range groupIDs(interfaces[id]) {
			if _, ok := known[group]; !ok && !slices.Contains(others, group) {
				others = append(others, group)
			}
		}
	}
	described, err := groupsOf(ctx, api, Selector{Groups: others}, nil)
	if err != nil {
		return nil, err
	}
	for _, g := range described {
		known[g.ID] = g
	}
	var subjects []Subject
	for _, id := range found {
		s := Subject{Interface: newInterface(interfaces[id])}
		for _, group := range groupIDs(interfaces[id]) {
			s.Groups = append(s.Groups, known[group])
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}
