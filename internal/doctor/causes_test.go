package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// causes are those on AWS's pages about 502, 503 and 504, by what CloudFront answers viewers with.
var causes = map[int]string{
	502: "certificate-expired certificate-self-signed certificate-name chain-untrusted chain-incomplete chain-order " +
		"tls-handshake-failed tls-not-spoken client-certificate name-not-resolved connect-refused answer-closed",
	504: "address-not-public response-timeout",
	0:   "connect-timeout status-502 status-504 status-5xx response-slow requests-failed", // or it passes on what the origin answers
}

// checkCause fails if a finding is one of the causes, and its status, its advice or AWS's page is not right.
func checkCause(t *testing.T, f Finding) {
	t.Helper()
	for status, codes := range causes {
		if !strings.Contains(" "+codes+" ", " "+f.Code+" ") {
			continue
		}
		if f.Advice == "" || !strings.HasPrefix(f.Source, "https://docs.aws.amazon.com/") {
			t.Errorf("no advice or source: %+v", f)
		}
		if f.Verdict == Fail && status != 0 && f.CloudFrontStatus != status {
			t.Errorf("%s: viewers get %d, want %d", f.Code, f.CloudFrontStatus, status)
		}
	}
}

// The codes in docs/504.md are those that doctor shows. Each cause that AWS names is made by a test here, which wants
// its finding; those that begin with groups- are made by TestDoctorChecksGroups of cmd/cfsg.
func TestGuideHasCodes(t *testing.T) {
	read := func(tests bool, patterns ...string) string {
		var source strings.Builder
		for _, pattern := range patterns {
			files, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if strings.HasSuffix(f, "_test.go") == tests {
					text, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					source.Write(text)
				}
			}
		}
		return source.String()
	}
	source, tests := read(false, "*.go", "../../cmd/cfsg/doctor*.go"), read(true, "*_test.go")
	named := guideCodes(t, "| cause | finding |", 3)
	for _, code := range append(named, guideCodes(t, "| finding | what it means |", 1)...) {
		known := strings.Contains(source, `"`+code+`"`) || regexp.MustCompile(`^status-(400|421)$`).MatchString(code)
		if !known && !strings.HasPrefix(code, "--") {
			t.Errorf("no finding has the code %s", code)
		}
	}
	named = slices.DeleteFunc(named, func(code string) bool {
		return strings.HasPrefix(code, "groups-") || strings.HasPrefix(code, "--")
	})
	listed := strings.Fields(causes[502] + " " + causes[504] + " " + causes[0])
	if slices.Sort(named); !slices.Equal(named, slices.Sorted(slices.Values(listed))) {
		t.Errorf("the guide names %v, and tests make %v", named, listed)
	}
	for _, code := range listed {
		if !regexp.MustCompile("[: ]" + code + "(:fail|:warn|:unknown| 0)").MatchString(tests) {
			t.Errorf("no test wants %s", code)
		}
	}
}

// guideCodes returns the code in a column of a table of docs/504.md.
func guideCodes(t *testing.T, header string, column int) (codes []string) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/504.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(guide), header)
	if !found {
		t.Fatalf("no table %s", header)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > column {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column], -1) {
				codes = append(codes, m[1])
			}
		}
	}
	if len(codes) < 10 {
		t.Fatalf("%d codes in the table %s", len(codes), header)
	}
	return codes
}
