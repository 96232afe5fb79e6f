package engine

import (
	"context"

	"cloudfront-sg-sync/secgroup"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Narrow returns client as an API that holds functions and no client. It keeps the rest of the SDK's EC2 client out of
// a program: 700 operations, 30 MB.
//
// A program that looks up methods by name at run time, as cfsg's parser of flags and text/template do, keeps every
// exported method of each type that it converts to an interface, and of the types of such a type's fields. See the
// third of the conditions in
// https://github.com/golang/go/blob/go1.26.0/src/cmd/link/internal/ld/deadcode.go
// So a *ec2.Client must not become an interface anywhere. A function does not show what it is a method of.
func Narrow(client *ec2.Client) secgroup.API { return newNarrow(client) }

func newNarrow(client *ec2.Client) *narrow {
	return &narrow{
		client.DescribeSecurityGroups, client.DescribeManagedPrefixLists, client.GetManagedPrefixListEntries,
		client.DescribeNetworkInterfaces, client.AuthorizeSecurityGroupIngress, client.RevokeSecurityGroupIngress,
		client.UpdateSecurityGroupRuleDescriptionsIngress, client.ModifyManagedPrefixList,
	}
}

// operation is one operation of EC2.
type operation[In, Out any] func(context.Context, *In, ...func(*ec2.Options)) (*Out, error)

// narrow implements secgroup.API, each method by the function of its name.
type narrow struct {
	describeSecurityGroups      operation[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	describeManagedPrefixLists  operation[ec2.DescribeManagedPrefixListsInput, ec2.DescribeManagedPrefixListsOutput]
	getManagedPrefixListEntries operation[ec2.GetManagedPrefixListEntriesInput, ec2.GetManagedPrefixListEntriesOutput]
	describeNetworkInterfaces   operation[ec2.DescribeNetworkInterfacesInput, ec2.DescribeNetworkInterfacesOutput]
	authorize                   operation[ec2.AuthorizeSecurityGroupIngressInput, ec2.AuthorizeSecurityGroupIngressOutput]
	revoke                      operation[ec2.RevokeSecurityGroupIngressInput, ec2.RevokeSecurityGroupIngressOutput]
	redescribe                  operation[ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput]
	modifyManagedPrefixList     operation[ec2.ModifyManagedPrefixListInput, ec2.ModifyManagedPrefixListOutput]
}

func (n *narrow) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return n.describeSecurityGroups(ctx, in, opts...)
}

func (n *narrow) DescribeManagedPrefixLists(ctx context.Context, in *ec2.DescribeManagedPrefixListsInput, opts ...func(*ec2.Options)) (*ec2.DescribeManagedPrefixListsOutput, error) {
	return n.describeManagedPrefixLists(ctx, in, opts...)
}

func (n *narrow) GetManagedPrefixListEntries(ctx context.Context, in *ec2.GetManagedPrefixListEntriesInput, opts ...func(*ec2.Options)) (*ec2.GetManagedPrefixListEntriesOutput, error) {
	return n.getManagedPrefixListEntries(ctx, in, opts...)
}

func (n *narrow) DescribeNetworkInterfaces(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput, opts ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	return n.describeNetworkInterfaces(ctx, in, opts...)
}

func (n *narrow) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	return n.authorize(ctx, in, opts...)
}

func (n *narrow) RevokeSecurityGroupIngress(ctx context.Context, in *ec2.RevokeSecurityGroupIngressInput, opts ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	return n.revoke(ctx, in, opts...)
}

func (n *narrow) UpdateSecurityGroupRuleDescriptionsIngress(ctx context.Context, in *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput, opts ...func(*ec2.Options)) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	return n.redescribe(ctx, in, opts...)
}

func (n *narrow) ModifyManagedPrefixList(ctx context.Context, in *ec2.ModifyManagedPrefixListInput, opts ...func(*ec2.Options)) (*ec2.ModifyManagedPrefixListOutput, error) {
	return n.modifyManagedPrefixList(ctx, in, opts...)
}
