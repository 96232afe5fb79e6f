package doctor

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cloudfront-sg-sync/internal/words"
)

// A Verdict says how bad something is.
type Verdict string

// The verdicts, from the least to the worst.
const (
	Skipped Verdict = "skipped" // not checked
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // causes no error by itself, or only with some settings of the distribution
	Unknown Verdict = "unknown" // a healthy origin looks the same from here as a broken one
	Fail    Verdict = "fail"    // viewers get errors because of it
)

func worse(a, b Verdict) Verdict {
	order := []Verdict{Skipped, OK, Warn, Unknown, Fail}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// A Report is what was found about an origin: the verdicts, step by step, and the figures behind them.
type Report struct {
	URL         string   `json:"url"`
	Host        string   `json:"host"` // the Host header
	Verdict     Verdict  `json:"verdict"`
	Interrupted bool     `json:"interrupted"`
	Settings    Settings `json:"settings"`
	Steps       []Step   `json:"steps"`

	Addresses   []Address    `json:"addresses"`
	Connections []Connection `json:"connections"`
	TLS         []Handshake  `json:"tls"`
	Answers     []Answer     `json:"answers"`
	Timing      *Timing      `json:"timing"` // of single requests, each on a new connection
	Load        *Timing      `json:"load"`   // of concurrent requests, on kept connections
	KeepAlive   *KeepAlive   `json:"keepAlive"`
	SecondLayer *SecondLayer `json:"secondLayer"`
}

// StepsWith returns the names of the steps with a verdict.
func (r *Report) StepsWith(v Verdict) []string {
	var names []string
	for _, s := range r.Steps {
		if s.Verdict == v {
			names = append(names, s.Name)
		}
	}
	return names
}

// A Step is the check of one cause of a 504.
type Step struct {
	Name     string    `json:"name"`
	Verdict  Verdict   `json:"verdict"`
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings"`

	where [][]netip.Addr // of each finding, if it is about some addresses
	// Access says who gets in at the origin's addresses, if the step was about that.
	Access  map[netip.Addr]Access `json:"-"`
	partial bool                  // an interruption leaves something of it

	// Demands is what the rules in front of the origin demand of a request, if the step was about that.
	Demands *SecondLayer `json:"-"`
}

// An Access says whom the filters in front of an address let connect to it on the origin's port.
type Access int

// Who can connect.
const (
	AccessUnknown  Access = iota
	OnlyCloudFront        // all of CloudFront, and nobody else
	SomeOthers            // others as well, or not all of CloudFront
	Everyone
)

// Find adds the finding with a code of the catalog, and a message.
func (s *Step) Find(code, format string, args ...any) { s.find(finding(code, format, args...)) }

// find adds a finding, perhaps about an address. The same about several is one. It only makes the verdict worse.
func (s *Step) find(f Finding, at ...netip.Addr) {
	i := slices.Index(s.Findings, f)
	if i < 0 {
		i = len(s.Findings)
		s.Findings, s.where = append(s.Findings, f), append(s.where, nil)
		s.Verdict = worse(s.Verdict, f.Verdict)
	}
	s.where[i] = slices.Concat(s.where[i], at)
}

// findAt adds a finding about one address. A failure over IPv6, or a possible one, is only a warning if the origin has
// IPv4 as well and its IP address type is unknown, as the default is ipv4. See [pageIPv6].
func (w *walk) findAt(step *Step, addr netip.Addr, f Finding) {
	if (f.Verdict == Fail || f.Verdict == Unknown) && w.isOptional(addr) {
		f.Verdict = Warn
		f.Message += " (matters if the origin's IP address type is ipv6 or dualstack; the default is ipv4)"
	}
	step.find(f, addr)
}

// locate has findings say which addresses they are about. If the origin has only one, it is not repeated.
func (s *Step) locate(several bool) {
	for i, where := range s.where {
		if several && len(where) > 0 {
			slices.SortFunc(where, netip.Addr.Compare)
			addresses := words.Strings(slices.Compact(where))
			s.Findings[i].Message = fmt.Sprintf("%s: %s", words.Few(addresses), s.Findings[i].Message)
		}
	}
}

func skipped(reason string) Step { return Step{Verdict: Skipped, Summary: reason} }

// Seconds is a measured time. In JSON it is a number of seconds.
type Seconds time.Duration

// MarshalJSON rounds to microseconds: clocks are not to be trusted beyond that.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Microsecond).Seconds())
}

const (
	millisecond = Seconds(time.Millisecond)
	second      = Seconds(time.Second)
)

// String writes a time with the digits that matter: 1.2 ms, 340 ms, 2.5 s.
func (s Seconds) String() string {
	precision, unit, name := 100*millisecond, second, " s"
	switch {
	case s < 10*millisecond:
		precision, unit, name = millisecond/100, millisecond, " ms"
	case s < second:
		precision, unit, name = millisecond, millisecond, " ms"
	case s < 10*second:
		precision = 10 * millisecond
	}
	rounded := time.Duration(s).Round(time.Duration(precision))
	return strconv.FormatFloat(float64(rounded)/float64(unit), 'f', -1, 64) + name
}

// printable makes text from the origin short, and harmless on a terminal.
func printable(text string) string {
	return words.Shorten(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text), 600)
}
