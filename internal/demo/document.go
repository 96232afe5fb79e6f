package demo

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-lambda-go/events"
	"go4.org/netipx"
)

// service is the one whose ranges the function is left to select by default.
const service = "CLOUDFRONT"

// A document is one published state of ip-ranges.json.
type document struct {
	bytes       []byte
	publication *iprange.Publication
}

// parseDocument reads a document, by the rules the function has for it.
func parseDocument(data []byte) (*document, error) {
	publication, err := iprange.Decode(bytes.NewReader(data), iprange.Selection{Services: []string{service}, IPv4: true, IPv6: true})
	return &document{bytes: data, publication: publication}, err
}

// rules returns how many rules a port needs, of each family.
func (d *document) rules() (ipv4, ipv6 int) { return len(d.publication.IPv4), len(d.publication.IPv6) }

// etag is what the feed calls the document, as S3 does.
func (d *document) etag() string { return strconv.Quote(d.md5()) }

func (d *document) md5() string {
	sum := md5.Sum(d.bytes)
	return hex.EncodeToString(sum[:])
}

// notification returns the event with which Lambda tells the function of a message on the topic. See
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
func (d *document) notification() string {
	message := marshal(map[string]string{
		"create-time": d.publication.Published.Format("2006-01-02T15:04:05-07:00"),
		"synctoken":   d.publication.SyncToken,
		"md5":         d.md5(),
		"url":         iprange.DefaultURL,
	})
	return marshal(events.SNSEvent{Records: []events.SNSEventRecord{{
		EventSource:          "aws:sns",
		EventVersion:         "1.0",
		EventSubscriptionArn: config.DefaultTopicARN + ":00000000-0000-0000-0000-000000000000",
		SNS: events.SNSEntity{
			Type: "Notification", MessageID: "00000000-0000-0000-0000-000000000000", TopicArn: config.DefaultTopicARN,
			Subject: "IP Space Changed", Message: message, Timestamp: d.publication.Published.Add(36 * time.Second),
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
	var members map[string]any // whatever else there is stays as it is
	if err := json.Unmarshal(d.bytes, &members); err != nil {
		return nil, change, err
	}
	entries := []any{map[string]any{"ip_prefix": change.added.String(), "region": "GLOBAL", "service": service, "network_border_group": "GLOBAL"}}
	for _, entry := range members["prefixes"].([]any) {
		low, high := halves(change.recut)
		switch old, _ := entry.(map[string]any); {
		case old["service"] == service && old["ip_prefix"] == change.withdrawn.String():
		case old["service"] == service && old["ip_prefix"] == change.recut.String():
			other := maps.Clone(old)
			old["ip_prefix"], other["ip_prefix"] = low.String(), high.String()
			entries = append(entries, old, other)
		default:
			entries = append(entries, entry)
		}
	}
	published := d.publication.Published.Add(26 * time.Hour)
	members["prefixes"] = entries
	members["syncToken"] = strconv.FormatInt(published.Unix(), 10)
	members["createDate"] = published.Format("2006-01-02-15-04-05")
	next, err := parseDocument([]byte(marshal(members)))
	if err != nil {
		return nil, change, fmt.Errorf("the changed document: %w", err)
	}
	return next, change, nil
}

var errTooSmall = errors.New("the demo needs a document with at least four " + service + " IPv4 ranges that merge with no other; leave --ip-ranges out for the built-in one")

// chooseRevision chooses ranges to change such that one rule comes, one goes, and no other changes.
func (d *document) chooseRevision() (revision, error) {
	var alone []netip.Prefix // ranges that are a rule each
	for _, p := range d.publication.Prefixes {
		if p.Addr().Is4() && p.Bits() < 32 && d.standsAlone(p) {
			alone = append(alone, p)
		}
	}
	if len(alone) < 4 {
		return revision{}, errTooSmall
	}
	change := revision{recut: alone[len(alone)/4], withdrawn: alone[len(alone)/2]}
	for _, p := range alone {
		if change.added = next(p); change.added.IsValid() && d.yieldsOneRule(change) {
			return change, nil
		}
	}
	return revision{}, errTooSmall
}

// standsAlone reports whether a prefix is published by itself, neither merged with others nor together with a part of
// it.
func (d *document) standsAlone(p netip.Prefix) bool {
	overlapping := 0
	for _, q := range d.publication.Prefixes {
		if p.Overlaps(q) {
			overlapping++
		}
	}
	return overlapping == 1 && slices.Contains(d.publication.IPv4, p)
}

// yieldsOneRule reports whether the change adds the rule of one range, removes that of the other, and no more.
func (d *document) yieldsOneRule(change revision) bool {
	if !change.added.Addr().IsGlobalUnicast() || change.added.Addr().IsPrivate() {
		return false
	}
	after := slices.DeleteFunc(slices.Clone(d.publication.IPv4), func(p netip.Prefix) bool { return p == change.withdrawn })
	after = append(after, change.added)
	slices.SortFunc(after, netip.Prefix.Compare)
	return slices.Equal(after, iprange.Merge(after))
}

// halves returns the two prefixes that a prefix consists of.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	low = netip.PrefixFrom(p.Addr(), p.Bits()+1)
	return low, next(low)
}

// next returns the prefix of the same size that follows p, or an invalid one at the end of the address space.
func next(p netip.Prefix) netip.Prefix {
	if after := netipx.PrefixLastIP(p).Next(); after.IsValid() {
		return netip.PrefixFrom(after, p.Bits())
	}
	return netip.Prefix{}
}
