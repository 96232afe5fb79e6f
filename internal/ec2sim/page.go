package ec2sim

import (
	"cmp"
	"encoding/base64"
	"slices"
)

// paging is how a caller asks for a part of a list.
type paging struct {
	MaxResults *int   `query:"MaxResults"`
	NextToken  string `query:"NextToken"`
}

// Limits of MaxResults.
const minResults, maxResults = 5, 1000

// page cuts the asked part out of items, which are in the order of their IDs. The token carries the ID of the last item
// given out: whatever has come or gone since, the next page goes on behind it.
//
// Without MaxResults all items are given at once.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func page[T any](p paging, items []T, k *kind[T]) (part []T, next string, err error) {
	if p.NextToken != "" {
		after, err := base64.RawURLEncoding.DecodeString(p.NextToken)
		if err != nil {
			return nil, "", errorf("InvalidPaginationToken", "The specified pagination token is not valid")
		}
		i := slices.IndexFunc(items, func(t T) bool { return k.id(t) > string(after) })
		if i < 0 {
			return nil, "", nil
		}
		items = items[i:]
	}
	if p.MaxResults == nil {
		return items, "", nil
	}
	n, smallest, largest := *p.MaxResults, cmp.Or(k.smallest, minResults), cmp.Or(k.largest, maxResults)
	if n < smallest || n > largest {
		return nil, "", errorf("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", n, smallest, largest)
	}
	if len(items) <= n {
		return items, "", nil
	}
	return items[:n], base64.RawURLEncoding.EncodeToString([]byte(k.id(items[n-1]))), nil
}
