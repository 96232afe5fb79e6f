// Package version knows which release a program is.
package version

import (
	"cmp"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	smithy "github.com/aws/smithy-go/middleware"
)

// release is set by the linker, see the Makefile. It is empty in other builds.
var release string

// Release returns the release, such as v1.0.0, or nothing in a build that is none.
func Release() string { return release }

// UserAgent makes each request to AWS say which program and which release of it sends it: CloudTrail shows that as the
// event's userAgent. See
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
func UserAgent() []func(*smithy.Stack) error {
	return []func(*smithy.Stack) error{middleware.AddUserAgentKeyValue("cloudfront-sg-sync", cmp.Or(release, "devel"))}
}
