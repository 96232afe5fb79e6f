// Command floor makes the calls to AWS of a first sync, with the SDK's clients and nothing else: what no function in Go
// that uses them does without. It ends with its standard input.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/smithy-go"
)

func main() {
	if err := sync(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func sync(ctx context.Context) error {
	env, err := config.NewEnvConfig()
	if err != nil {
		return err
	}
	cfg := aws.Config{
		Region: env.Region, Credentials: credentials.StaticCredentialsProvider{Value: env.Credentials},
		ConfigSources: []any{env}, BaseEndpoint: aws.String(env.BaseEndpoint),
	}
	client := ec2.NewFromConfig(cfg)
	tagged := []types.Filter{{Name: aws.String("tag-key"), Values: []string{"cloudfront-ingress"}}}
	found, err := client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: tagged})
	if err != nil {
		return err
	}
	if _, err := client.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{Filters: tagged}); err != nil {
		return err
	}
	quota := &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("vpc"), QuotaCode: aws.String("L-0EA8095F")}
	if _, err := servicequotas.NewFromConfig(cfg).GetServiceQuota(ctx, quota); err != nil {
		return err
	}
	for i, g := range found.SecurityGroups {
		permission := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443)}
		for n := range 60 {
			permission.IpRanges = append(permission.IpRanges, types.IpRange{
				CidrIp: aws.String(fmt.Sprintf("18.%d.%d.0/24", 64+i, n)), Description: aws.String("cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"),
			})
		}
		for n := range 10 {
			permission.Ipv6Ranges = append(permission.Ipv6Ranges, types.Ipv6Range{
				CidrIpv6: aws.String(fmt.Sprintf("2600:9000:%x::/48", 16*i+n)), Description: aws.String("cloudfront-ingress: CLOUDFRONT 2026-08-22T15:17:05Z"),
			})
		}
		_, err := client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: []types.IpPermission{permission}})
		// The SDK's own HTTP client makes a call again that has taken effect, now and then: see plainBody in
		// internal/engine.
		if refusal, ok := errors.AsType[smithy.APIError](err); ok && refusal.ErrorCode() == "InvalidPermission.Duplicate" {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
