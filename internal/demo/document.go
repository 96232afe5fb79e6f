package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-lambda-go/events"
	"go4.org/netipx"
)

// service is the one whose ranges the function selects by default.
const service = "CLOUDFRONT"

// A document is one published state of ip-ranges.json.
type document struct {
	*iprange.Publication
	bytes []byte
}

// parseDocument reads a document, by the rules the function has for it.
func parseDocument(data []byte) (*document, error) {
	publication, err := iprange.Decode(bytes.NewReader(data), iprange.Selection{Services: []string{service}, IPv4: true, IPv6: true})
	return &document{publication, data}, err
}

// notification returns the event with which Lambda tells the function of a message on the topic. See
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
func (d *document) notification() string {
	message := marshal(map[string]string{
		"create-time": d.Published.Format("2006-01-02T15:04:05-07:00"),
		"synctoken":   d.SyncToken,
		"md5":         fmt.Sprintf("%x", d.MD5),
		"url":         iprange.DefaultURL,
	})
	return marshal(events.SNSEvent{Records: []events.SNSEventRecord{{
		EventSource: "aws:sns",
		SNS: events.SNSEntity{
			Type: "Notification", TopicArn: config.DefaultTopicARN, Message: message, Timestamp: d.Published.Add(36 * time.Second),
		},
	}}})
}

// marshal writes what JSON can always hold.
func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// A revision is what changes from a document to the next.
type revision struct {
	added, withdrawn netip.Prefix
	recut            netip.Prefix // published as its two halves from now on
}

// revise returns the document that AWS publishes next, and what is new in it.
func (d *document) revise() (*document, revision, error) {
	change, err := d.chooseRevision()
	if err != nil {
		return nil, change, err
	}
	low := netip.PrefixFrom(change.recut.Addr(), change.recut.Bits()+1)
	members := map[string][]map[string]string{"prefixes": {}, "ipv6_prefixes": {}}
	for _, p := range append(slices.Clone(d.Prefixes), change.added, low, next(low)) {
		list, key := "prefixes", "ip_prefix"
		if p.Addr().Is6() {
			list, key = "ipv6_prefixes", "ipv6_prefix"
		}
		if p != change.withdrawn && p != change.recut {
			entry := map[string]string{key: p.String(), "service": service, "region": "GLOBAL", "network_border_group": "GLOBAL"}
			members[list] = append(members[list], entry)
		}
	}
	published := d.Published.Add(26 * time.Hour)
	revised, err := parseDocument([]byte(marshal(map[string]any{
		"syncToken": strconv.FormatInt(published.Unix(), 10), "createDate": published.Format("2006-01-02-15-04-05"),
		"prefixes": members["prefixes"], "ipv6_prefixes": members["ipv6_prefixes"],
	})))
	return revised, change, err
}

var errTooSmall = errors.New("the demo needs a document with at least four " + service +
	" IPv4 ranges that merge with no other; leave --ip-ranges out for the built-in one")

// chooseRevision chooses ranges to change such that one rule comes, one goes, and no other changes.
func (d *document) chooseRevision() (revision, error) {
	var single []netip.Prefix // ranges that are a rule each: published once, and neither within another nor merged
	for _, p := range d.Prefixes {
		overlaps := func(q netip.Prefix) bool { return q.Overlaps(p) }
		within := slices.DeleteFunc(slices.Clone(d.Prefixes), func(q netip.Prefix) bool { return !overlaps(q) })
		if p.Addr().Is4() && p.Bits() < 32 && len(within) == 1 && slices.Contains(d.IPv4, p) {
			single = append(single, p)
		}
	}
	if len(single) < 4 {
		return revision{}, errTooSmall
	}
	change := revision{recut: single[len(single)/4], withdrawn: single[len(single)/2]}
	for _, p := range single {
		change.added = next(p)
		if !change.added.Addr().IsGlobalUnicast() || change.added.Addr().IsPrivate() {
			continue
		}
		after := slices.DeleteFunc(slices.Clone(d.IPv4), func(p netip.Prefix) bool { return p == change.withdrawn })
		after = append(after, change.added)
		slices.SortFunc(after, netip.Prefix.Compare)
		if slices.Equal(after, iprange.Merge(after)) { // it merges with no other either
			return change, nil
		}
	}
	return revision{}, errTooSmall
}

// next returns the prefix of the same size that follows p, or an invalid one at the end of the address space.
func next(p netip.Prefix) netip.Prefix {
	if after := netipx.PrefixLastIP(p).Next(); after.IsValid() {
		return netip.PrefixFrom(after, p.Bits())
	}
	return netip.Prefix{}
}
