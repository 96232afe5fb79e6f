package secgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/awserr"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 answers a change of a prefix list before it has made it. These are the pauses between looks at whether it has,
// the first and the longest.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 5 * time.Second
)

// Modify makes one change of a plan to a version of a prefix list, by one call, and waits until it is made. It returns
// the version that the change has made. If it fails, no later change of the plan may be made; EC2 has changed all of
// the entries or none. A call that has begun is finished when the context is canceled, as nobody knows what became of
// one that is given up; the wait ends. Where [IsConflict] holds for the error, a new plan may succeed.
func Modify(ctx context.Context, api API, change Change, version int64) (int64, error) {
	in := &ec2.ModifyManagedPrefixListInput{PrefixListId: aws.String(change.ListID), CurrentVersion: aws.Int64(version)}
	for _, e := range change.Add {
		in.AddEntries = append(in.AddEntries, types.AddPrefixListEntry{Cidr: aws.String(e.Prefix.String()), Description: aws.String(e.Description)})
	}
	for _, e := range change.Remove {
		in.RemoveEntries = append(in.RemoveEntries, types.RemovePrefixListEntry{Cidr: aws.String(e.Prefix.String())})
	}
	call := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		call, cancel = context.WithDeadline(call, deadline)
		defer cancel()
	}
	if _, err := api.ModifyManagedPrefixList(call, in); err != nil {
		err = awserr.Explain(fmt.Errorf("%v: %w", change, err), "ec2:ModifyManagedPrefixList")
		if awserr.Code(err) == "IncorrectState" { // someone else's change is under way
			if _, failed := settled(ctx, api, change.ListID, 0); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		return version, err
	}
	// The answer tells the version before the change.
	made, err := settled(ctx, api, change.ListID, version)
	if err != nil {
		return version, fmt.Errorf("%v: %w", change, err)
	}
	return made, nil
}

// settled waits until no change of a list is under way, and one past a version is made. It returns the version there is
// then. What EC2 describes may lag behind what it was asked for, so an old version does not mean that the change has
// failed. See
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func settled(ctx context.Context, api API, id string, past int64) (int64, error) {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		out, err := api.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{
			Filters: []types.Filter{{Name: aws.String("prefix-list-id"), Values: []string{id}}},
		})
		if err != nil {
			return 0, awserr.Explain(fmt.Errorf("see whether the change of %s is made: %w", id, err), "ec2:DescribeManagedPrefixLists")
		}
		if len(out.PrefixLists) == 0 {
			return 0, fmt.Errorf("%s is gone", id)
		}
		l := out.PrefixLists[0]
		switch version := aws.ToInt64(l.Version); {
		case strings.HasSuffix(string(l.State), "-failed") && version <= past:
			return 0, fmt.Errorf("EC2 could not make the change of %s (%s): %s", id, l.State, aws.ToString(l.StateMessage))
		case !strings.HasSuffix(string(l.State), "-in-progress") && version > past:
			return version, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("EC2 has not yet said that the change of %s is made (%s); the next run looks again: %w", id, l.State, ctx.Err())
		case <-timer.C:
		}
	}
}
