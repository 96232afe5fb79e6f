package demo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/iprange"

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
	message := fmt.Sprintf(`{"create-time":%q,"synctoken":%q,"md5":"%x","url":%q}`,
		d.Published.Format("2006-01-02T15:04:05-07:00"), d.SyncToken, d.MD5, iprange.DefaultURL)
	return fmt.Sprintf(`{"Records":[{"EventSource":"aws:sns","Sns":{"Type":"Notification","TopicArn":%q,"Message":%q}}]}`,
		config.DefaultTopicARN, message)
}

// A revision is what changes from a document to the next.
type revision struct {
	added, withdrawn netip.Prefix
	recut            netip.Prefix // published as its two halves from now on
}

// revise returns the document that AWS publishes next, and what is new in it: one rule comes, one goes, and no other
// changes.
func (d *document) revise() (*document, revision, error) {
	var single []netip.Prefix // ranges that are a rule each: published once, and neither within another nor merged
	for _, p := range d.Prefixes {
		apart := func(q netip.Prefix) bool { return !q.Overlaps(p) }
		if p.Addr().Is4() && p.Bits() < 32 && slices.Contains(d.IPv4, p) &&
			len(slices.DeleteFunc(slices.Clone(d.Prefixes), apart)) == 1 {
			single = append(single, p)
		}
	}
	if len(single) >= 4 {
		for _, p := range single {
			change := revision{added: next(p), withdrawn: single[len(single)/2], recut: single[len(single)/4]}
			revised, err := d.changed(change)
			if err == nil && len(revised.IPv4) == len(d.IPv4) { // one less where the new range merges with another
				return revised, change, nil
			}
		}
	}
	return nil, revision{}, errors.New("the demo needs a document with at least four " + service +
		" IPv4 ranges that merge with no other; leave --ip-ranges out for the built-in one")
}

// changed returns the document after a change. It fails if a range is not public.
func (d *document) changed(change revision) (*document, error) {
	low := netip.PrefixFrom(change.recut.Addr(), change.recut.Bits()+1)
	ipv4, ipv6 := ipspace.Split(append(slices.Clone(d.Prefixes), change.added, low, next(low)))
	ipv4 = slices.DeleteFunc(ipv4, func(p netip.Prefix) bool { return p == change.withdrawn || p == change.recut })
	published := d.Published.Add(26 * time.Hour)
	return parseDocument(fmt.Appendf(nil, `{"syncToken":"%d","createDate":%q,"prefixes":[%s],"ipv6_prefixes":[%s]}`,
		published.Unix(), published.Format("2006-01-02-15-04-05"), entries("ip_prefix", ipv4), entries("ipv6_prefix", ipv6)))
}

func entries(key string, prefixes []netip.Prefix) string {
	var all []string
	for _, p := range prefixes {
		all = append(all, fmt.Sprintf(`{%q:%q,"service":%q}`, key, p, service))
	}
	return strings.Join(all, ",")
}

// next returns the prefix of the same size that follows p, or an invalid one at the end of the address space.
func next(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(netipx.PrefixLastIP(p).Next(), p.Bits())
}
