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

	"cloudfront-sg-sync/iprange"
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
	selection := iprange.Selection{Services: []string{service}, IPv4: true, IPv6: true}
	publication, err := iprange.Decode(bytes.NewReader(data), selection)
	if err != nil {
		return nil, err
	}
	return &document{bytes: data, publication: publication}, nil
}

// rules returns how many rules a port needs, of each family.
func (d *document) rules() (ipv4, ipv6 int) { return len(d.publication.IPv4), len(d.publication.IPv6) }

// etag is what the feed calls the document, as S3 does.
func (d *document) etag() string { return strconv.Quote(d.md5()) }

func (d *document) md5() string {
	sum := md5.Sum(d.bytes)
	return hex.EncodeToString(sum[:])
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
		return nil, revision{}, err
	}
	var members map[string]any // whatever else there is stays as it is
	if err := json.Unmarshal(d.bytes, &members); err != nil {
		return nil, revision{}, err
	}
	low, high := halves(change.recut)
	var entries []any
	for _, entry := range members["prefixes"].([]any) {
		switch prefix := cloudFrontPrefix(entry); prefix {
		case change.withdrawn.String():
		case change.recut.String():
			entries = append(entries, withPrefix(entry, low), withPrefix(entry, high))
		default:
			entries = append(entries, entry)
		}
	}
	entries = append(entries, map[string]any{
		"ip_prefix": change.added.String(), "region": "GLOBAL", "service": service, "network_border_group": "GLOBAL",
	})
	published := d.publication.Published.Add(26 * time.Hour)
	members["prefixes"] = entries
	members["syncToken"] = strconv.FormatInt(published.Unix(), 10)
	members["createDate"] = published.Format("2006-01-02-15-04-05")
	data, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return nil, revision{}, err
	}
	next, err := parseDocument(data)
	if err != nil {
		return nil, revision{}, fmt.Errorf("the changed document: %w", err)
	}
	return next, change, nil
}

// cloudFrontPrefix returns the IPv4 prefix of an entry of the service.
func cloudFrontPrefix(entry any) string {
	members, _ := entry.(map[string]any)
	if members["service"] != service {
		return ""
	}
	prefix, _ := members["ip_prefix"].(string)
	return prefix
}

// withPrefix returns a copy of an entry with another prefix.
func withPrefix(entry any, prefix netip.Prefix) map[string]any {
	members := maps.Clone(entry.(map[string]any))
	members["ip_prefix"] = prefix.String()
	return members
}

var errTooSmall = errors.New("the demo needs a document with at least four " + service + " IPv4 ranges that stand alone; leave --ip-ranges out for the built-in one")

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
	var after []netip.Prefix
	for _, p := range d.publication.IPv4 {
		if p != change.withdrawn {
			after = append(after, p)
		}
	}
	after = append(after, change.added)
	slices.SortFunc(after, netip.Prefix.Compare)
	return slices.Equal(after, iprange.Merge(after))
}
