package iprange

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"

	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads a whole ip-ranges.json in a single pass, without holding it in memory. It returns the ranges that sel
// selects, or an error that says why the file must not be used.
//
// The order of members does not matter, and unknown ones are skipped. Only entries of selected services, and of those
// within which ranges may be covered, are validated; others only have to be JSON objects, and may even have a member
// twice.
func Decode(r io.Reader, sel Selection) (*Publication, error) {
	if err := sel.validate(); err != nil {
		return nil, err
	}
	return newSelector(r, sel).decode()
}

// newSelector returns a decoder that keeps what sel selects.
func newSelector(r io.Reader, sel Selection) *decoder {
	d := newDecoder(r)
	d.sel, d.found, d.each = sel, make(map[string]bool), d.entry
	d.plain.services = slices.Concat(sel.Services, sel.Within)
	switch {
	case len(sel.Within) > 0:
		d.plain.services = append(d.plain.services, EC2)
	case d.notesOriginFacing():
		d.plain.services = append(d.plain.services, CloudFrontOriginFacing)
	}
	return d
}

// decode reads the document and returns the selected ranges.
func (d *decoder) decode() (*Publication, error) {
	if err := d.document(); err != nil {
		return nil, d.src.explain(err)
	}
	d.src.hash.Sum(d.pub.MD5[:0])
	if err := d.finish(); err != nil {
		return nil, err
	}
	return d.pub, nil
}

// decoder is the state of one pass over a document.
type decoder struct {
	src   *source
	dec   *jsontext.Decoder
	sel   Selection
	plain plainEntries // which entries are passed over; none without services

	each        func(family, jsontext.Value) error // called for each entry
	entryReader bytes.Reader                       // both are for one entry at a time
	entryDec    *jsontext.Decoder

	lists  []family        // met so far
	found  map[string]bool // services with a selected prefix
	within []netip.Prefix  // of the services of Within
	ec2    []netip.Prefix  // only with within, to say whom else a cover lets in
	pub    *Publication
}

func newDecoder(r io.Reader) *decoder {
	src := &source{r: r, hash: md5.New()}
	d := &decoder{
		src:      src,
		dec:      jsontext.NewDecoder(src), // refuses duplicate member names at every level
		pub:      new(Publication),
		entryDec: new(jsontext.Decoder),
	}
	src.consumed = d.dec.InputOffset
	return d
}

// document reads the document to the end of the file.
func (d *decoder) document() error {
	if err := expect(d.dec, jsontext.KindBeginObject); err != nil {
		return err
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for d.dec.PeekKind() != jsontext.KindEndObject {
		if err := d.member(); err != nil {
			return err
		}
		if err := d.checkShape(); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	end := d.dec.InputOffset() + d.src.skipped
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more data follows the document, which ends after %d bytes", end)
	}
	return nil
}

// member reads one member of the document.
func (d *decoder) member() error {
	name, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	switch name.String() {
	case "syncToken":
		if d.pub.SyncToken, err = readString(d.dec); err == nil {
			d.pub.Published, err = tokenTime(d.pub.SyncToken)
		}
		if err != nil {
			return fmt.Errorf("syncToken: %w", err)
		}
		return nil
	case familyIPv4.list:
		return d.list(familyIPv4)
	case familyIPv6.list:
		return d.list(familyIPv6)
	default:
		return d.skip()
	}
}

// skip passes over a value of any size.
func (d *decoder) skip() error {
	for depth := d.dec.StackDepth(); ; {
		if _, err := d.dec.ReadToken(); err != nil {
			return err
		}
		if d.dec.StackDepth() <= depth {
			return nil
		}
		if err := d.checkShape(); err != nil {
			return err
		}
	}
}

const (
	// maxMembers and maxDepth bound the names that the JSON decoder remembers to find duplicates, and so its memory, in
	// a document of any size. Today's has four members, on three levels.
	maxMembers = 1000
	maxDepth   = 16
)

// checkShape refuses a document that a decoder cannot read in little memory.
func (d *decoder) checkShape() error {
	depth := d.dec.StackDepth()
	if depth > maxDepth {
		return fmt.Errorf("no file that AWS publishes has more than %d levels", maxDepth)
	}
	// The length of an object counts names and values.
	if kind, length := d.dec.StackIndex(depth); kind == jsontext.KindBeginObject && length > 2*maxMembers {
		return fmt.Errorf("no file that AWS publishes has an object of more than %d members", maxMembers)
	}
	return nil
}

// list reads the prefixes of one family.
func (d *decoder) list(f family) error {
	d.lists = append(d.lists, f)
	if err := expect(d.dec, jsontext.KindBeginArray); err != nil {
		return fmt.Errorf("%s: %w", f.list, err)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		entry, err := d.dec.ReadValue()
		switch {
		case err != nil && d.dec.PeekKind() == jsontext.KindEndArray:
			_, err := d.dec.ReadToken()
			return err
		case err != nil:
			return inEntry(err, i)
		case entry.Kind() != jsontext.KindBeginObject:
			return fmt.Errorf("%s entry %d is not an object", f.list, i)
		}
		if err := d.each(f, entry); err != nil {
			return fmt.Errorf("%s entry %d: %w", f.list, i, err)
		}
		if len(d.plain.services) > 0 {
			i += d.src.skip(&d.plain)
		}
	}
}

// inEntry corrects the index in an error of the decoder, which does not count entries that were passed over.
func inEntry(err error, i int) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if path := strings.SplitN(string(syntax.JSONPointer), "/", 4); len(path) > 2 {
			path[2] = strconv.Itoa(i)
			syntax.JSONPointer = jsontext.Pointer(strings.Join(path, "/"))
		}
	}
	return err
}

// entry reads an entry, and keeps its prefix if its service is selected or one of Within.
func (d *decoder) entry(f family, raw jsontext.Value) error {
	service, text, err := d.serviceAndPrefix(f, raw)
	if err != nil {
		return err
	}
	wanted, within := slices.Contains(d.sel.Services, service), slices.Contains(d.sel.Within, service)
	if !wanted && !within {
		d.note(f, service, text)
		return nil
	}
	if text == "" {
		return fmt.Errorf("(%s) has no %s", service, f.member)
	}
	p, err := f.parsePrefix(text)
	if err != nil {
		return fmt.Errorf("%s (%s): %w", quote(text), service, err)
	}
	if !d.selected(f) {
		return nil
	}
	d.found[service] = true
	if wanted {
		d.pub.Prefixes = append(d.pub.Prefixes, p)
	}
	if within {
		d.within = append(d.within, p)
	}
	return nil
}

// note keeps a prefix for an estimate that lets nobody in. So an invalid one is ignored, as with all other services.
func (d *decoder) note(f family, service, text string) {
	if !d.selected(f) {
		return
	}
	switch {
	case service == EC2 && len(d.sel.Within) > 0:
		// There are thousands, and only their addresses matter: so their spelling is not checked.
		if p, err := netip.ParsePrefix(text); err == nil {
			d.ec2 = append(d.ec2, p.Masked())
		}
	case service == CloudFrontOriginFacing && d.notesOriginFacing():
		if p, err := f.parsePrefix(text); err == nil {
			d.pub.OriginFacing = append(d.pub.OriginFacing, p)
		}
	}
}

// notesOriginFacing reports whether the publication also has the ranges of CLOUDFRONT_ORIGIN_FACING.
func (d *decoder) notesOriginFacing() bool {
	return len(d.sel.Within) == 0 && slices.Equal(d.sel.Services, []string{CloudFront})
}

// serviceAndPrefix returns two members of an entry, empty if they are missing or not strings.
func (d *decoder) serviceAndPrefix(f family, raw jsontext.Value) (service, prefix string, err error) {
	d.entryReader.Reset(raw)
	dec := d.entryDec
	dec.Reset(&d.entryReader)
	if _, err := dec.ReadToken(); err != nil {
		return "", "", err
	}
	for dec.PeekKind() != jsontext.KindEndObject {
		name, err := dec.ReadToken()
		if err != nil {
			return "", "", err
		}
		var value *string
		switch name.String() {
		case "service":
			value = &service
		case f.member:
			value = &prefix
		}
		if value == nil || dec.PeekKind() != jsontext.KindString {
			err = dec.SkipValue()
		} else {
			*value, err = readString(dec)
		}
		if err != nil {
			return "", "", err
		}
	}
	return service, prefix, nil
}

func (d *decoder) selected(f family) bool {
	return f == familyIPv4 && d.sel.IPv4 || f == familyIPv6 && d.sel.IPv6
}

// finish checks that the document was complete, and merges or covers the selected prefixes.
func (d *decoder) finish() error {
	if d.pub.SyncToken == "" {
		return errors.New("this is not ip-ranges.json: it has no syncToken")
	}
	for _, f := range []family{familyIPv4, familyIPv6} {
		if d.selected(f) && !slices.Contains(d.lists, f) {
			return fmt.Errorf("this is not ip-ranges.json: it has no list of %s", f.list)
		}
	}
	var missing []string
	for _, service := range slices.Concat(d.sel.Services, d.sel.Within) {
		if !d.found[service] && !slices.Contains(missing, service) {
			missing = append(missing, service)
		}
	}
	if len(missing) > 0 {
		return &MissingServiceError{Services: missing, Families: d.sel.families()}
	}
	merged := Cover(d.pub.Prefixes, d.within)
	for _, p := range merged {
		if err := checkPrefix(p); err != nil {
			return fmt.Errorf("merged prefix %s: %w", p, err)
		}
	}
	ipv6 := slices.IndexFunc(merged, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if ipv6 < 0 {
		ipv6 = len(merged)
	}
	d.pub.IPv4, d.pub.IPv6 = merged[:ipv6:ipv6], merged[ipv6:]
	if len(d.sel.Within) > 0 {
		beyond := ipspace.Minus(ipspace.Of(merged), ipspace.Of(d.pub.Prefixes))
		d.pub.Beyond = beyond.Prefixes()
		apart := func(p netip.Prefix) bool { return !beyond.OverlapsPrefix(p) }
		d.pub.BeyondEC2 = ipspace.Common(beyond, ipspace.Of(slices.DeleteFunc(d.ec2, apart))).Prefixes()
	}
	return nil
}

// Service has the published prefixes of one service.
type Service struct {
	Name       string         // such as CLOUDFRONT
	IPv4, IPv6 []netip.Prefix // as published, in the order of the file
}

// Services reads one whole ip-ranges.json and returns its services, sorted by name. It lists the services to choose
// from; only [Decode] verifies prefixes.
func Services(r io.Reader) ([]Service, error) {
	byName := map[string]*Service{}
	d := newDecoder(r)
	d.each = func(f family, entry jsontext.Value) error {
		name, text, err := d.serviceAndPrefix(f, entry)
		if err != nil {
			return err
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%s (%s) is not a prefix in CIDR notation", quote(text), name)
		}
		s := byName[name]
		if s == nil {
			s = &Service{Name: name}
			byName[name] = s
		}
		if f == familyIPv4 {
			s.IPv4 = append(s.IPv4, prefix)
		} else {
			s.IPv6 = append(s.IPv6, prefix)
		}
		return nil
	}
	if err := d.document(); err != nil {
		return nil, d.src.explain(err)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	services := make([]Service, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		services = append(services, *byName[name])
	}
	return services, nil
}

// expect fails if the next value is not of the wanted kind. The next read reports text that is not JSON at all.
func expect(dec *jsontext.Decoder, want jsontext.Kind) error {
	if got := dec.PeekKind(); got != want && got != jsontext.KindInvalid {
		return fmt.Errorf("found %s, want %s", describeKind(got), describeKind(want))
	}
	return nil
}

func describeKind(k jsontext.Kind) string {
	names := map[jsontext.Kind]string{
		jsontext.KindBeginObject: "an object", jsontext.KindBeginArray: "a list", jsontext.KindString: "a string", jsontext.KindNumber: "a number",
	}
	return cmp.Or(names[k], k.String())
}

// readString reads a value that must be a string.
func readString(dec *jsontext.Decoder) (string, error) {
	if err := expect(dec, jsontext.KindString); err != nil {
		return "", err
	}
	value, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	return value.String(), nil
}

// quote quotes untrusted text for an error message.
func quote(s string) string { return words.Quote(s, 64) }

// family is one of the two lists of a document.
type family struct {
	name   string // IPv4 or IPv6
	list   string // the member that holds the list
	member string // the member of an entry that holds the prefix
}

var (
	familyIPv4 = family{name: "IPv4", list: "prefixes", member: "ip_prefix"}
	familyIPv6 = family{name: "IPv6", list: "ipv6_prefixes", member: "ipv6_prefix"}
)

// parsePrefix reads a prefix of the family. It accepts only the canonical form (RFC 4632, RFC 5952) of a public range of
// plausible width.
func (f family) parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("not a prefix in CIDR notation")
	}
	switch {
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("an IPv4 address mapped into IPv6")
	case p.Addr().Is4() != (f == familyIPv4):
		return netip.Prefix{}, fmt.Errorf("not an %s prefix, though listed in %s", f.name, f.list)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("host bits are set: %s would be the network", p.Masked())
	case p.String() != text:
		return netip.Prefix{}, fmt.Errorf("not in canonical form: %s would be", p)
	}
	return p, checkPrefix(p)
}

// checkPrefix refuses a prefix that must never be let in.
func checkPrefix(p netip.Prefix) error {
	if widest := ipspace.Widest(p.Addr()); p.Bits() < widest {
		return fmt.Errorf("too wide: wider than /%d", widest)
	}
	if block, ok := ipspace.ReservedWithin(p); ok {
		return fmt.Errorf("not a public range: %s is %s", block.Prefix, block.Use)
	}
	if p.Addr().Is6() && !ipspace.GlobalUnicastIPv6.Overlaps(p) {
		return fmt.Errorf("not a public range: it is outside %s", ipspace.GlobalUnicastIPv6)
	}
	return nil
}
