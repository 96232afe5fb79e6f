package export

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
)

// writeJSON writes a document. JSON has no comments: its members say where it
// comes from.
func (in Input) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		MadeBy      string         `json:"madeBy"`
		Services    []string       `json:"services"`
		Within      []string       `json:"within"`
		SyncToken   string         `json:"syncToken"`
		PublishedAt string         `json:"publishedAt"`
		IPv4        []netip.Prefix `json:"ipv4"`
		IPv6        []netip.Prefix `json:"ipv6"`
	}{
		"cfsg export json (cloudfront-sg-sync)", in.Services, append([]string{}, in.Within...), in.SyncToken, in.Time(),
		append([]netip.Prefix{}, in.IPv4...), append([]netip.Prefix{}, in.IPv6...),
	})
}

// writeCSV writes a line for each range (RFC 4180). CSV has no comments: each
// line says where it comes from.
func (in Input) writeCSV(w io.Writer) error {
	lines := csv.NewWriter(w)
	_ = lines.Write([]string{"range", "family", "services", "published_at", "sync_token", "within"}) // Error returns what fails
	for _, p := range in.All() {
		family := "ipv4"
		if p.Addr().Is6() {
			family = "ipv6"
		}
		_ = lines.Write([]string{p.String(), family, strings.Join(in.Services, " "), in.Time(), in.SyncToken, strings.Join(in.Within, " ")})
	}
	lines.Flush()
	return lines.Error()
}
