package function

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A resourceRequest is a request of CloudFormation for the stack's custom resource, which represents the sync of the
// tagged groups. IAM decides who may send one: an invocation has no proof of its origin. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
type resourceRequest struct {
	kind        string // Create, Update or Delete
	responseURL *url.URL
	stackID     string
	requestID   string
	logicalID   string
	physicalID  string // empty for Create
	// withdraw says that deleting the resource revokes the owned rules.
	withdraw bool
	// err says why the request cannot be carried out, although it can be answered.
	err error
}

// maxID is the longest ID that an answer of at most 4,096 bytes can repeat. A stack's is the longest in practice, with
// some 200 characters.
const maxID = 512

// parseResourceRequest reads a request of CloudFormation. It fails if the request cannot be answered.
func parseResourceRequest(object map[string]jsontext.Value) (*resourceRequest, error) {
	r := &resourceRequest{}
	var responseURL string
	for _, m := range []struct {
		name     string
		field    *string
		optional bool
	}{
		{"RequestType", &r.kind, false},
		{"ResponseURL", &responseURL, false},
		{"StackId", &r.stackID, false},
		{"RequestId", &r.requestID, false},
		{"LogicalResourceId", &r.logicalID, false},
		{"PhysicalResourceId", &r.physicalID, true},
	} {
		value, ok := object[m.name]
		if !ok && m.optional {
			continue
		}
		// The value is not quoted: it may be a response URL, which is a credential.
		if err := json.Unmarshal(value, m.field); err != nil || *m.field == "" {
			return nil, fmt.Errorf("event of CloudFormation has no %s, or one that is not a string; it cannot be answered", m.name)
		}
		if m.field != &responseURL && len(*m.field) > maxID {
			return nil, fmt.Errorf("event of CloudFormation has a %s of %d bytes, too many to be repeated in an answer", m.name, len(*m.field))
		}
	}
	var err error
	if r.responseURL, err = url.Parse(responseURL); err != nil {
		return nil, errors.New("event of CloudFormation has a ResponseURL that is no URL; it cannot be answered")
	}
	r.withdraw, r.err = onDelete(object["ResourceProperties"])
	if !slices.Contains([]string{"Create", "Update", "Delete"}, r.kind) {
		r.err = fmt.Errorf("RequestType %q is none of Create, Update and Delete", r.kind)
	}
	return r, nil
}

// onDelete reads the only property that matters here. The others make CloudFormation update the resource when the
// function's settings change.
func onDelete(properties jsontext.Value) (withdraw bool, err error) {
	choice := "keep"
	if properties != nil {
		object, err := members(properties)
		if err != nil {
			return false, fmt.Errorf("ResourceProperties cannot be read: %w", err)
		}
		if text(object["OnDelete"], &choice) != nil {
			return false, errors.New("property OnDelete is not a string; write keep or withdraw")
		}
	}
	if choice != "keep" && choice != "withdraw" {
		return false, fmt.Errorf("property OnDelete is %q; write keep or withdraw", choice)
	}
	return choice == "withdraw", nil
}

// id returns the physical ID of the resource once it is created. It is the same in each request: CloudFormation takes
// another ID for a new resource, and deletes the old one. See "PhysicalResourceId" in
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
func (r *resourceRequest) id() string {
	return r.logicalID + "-" + r.stackID[strings.LastIndexByte(r.stackID, '/')+1:]
}

// idAfterFailure returns the physical ID of the answer to a failed request. A resource that could not be created gets an
// ID that identifies its deletion when the stack is rolled back. Amazon's CDK does the same:
// https://github.com/aws/aws-cdk/pull/5525
func (r *resourceRequest) idAfterFailure() string { return cmp.Or(r.physicalID, r.id()+"-not-created") }

// wasMade reports whether the resource to be deleted was ever created. A stack whose creation failed must not withdraw
// rules that an earlier stack left.
func (r *resourceRequest) wasMade() bool { return r.physicalID == r.id() }
