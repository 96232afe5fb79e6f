package main

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"cloudfront-sg-sync/internal/ec2sim"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// textOf returns the value of an attribute as text.
func textOf(t *testing.T, e hcl.Expression) string {
	t.Helper()
	value, diags := e.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if value.Type().FriendlyName() == "number" {
		return value.AsBigFloat().String()
	}
	return value.AsString()
}

// The lists that Terraform makes of an export are right, as a run has it, and the next run takes their entries for its
// own.
func TestExportedListsAreKept(t *testing.T) {
	o := newOriginSite(t, `{}`)
	compact := []string{"--service", "CLOUDFRONT_ORIGIN_FACING", "--within", "CLOUDFRONT"}
	ranges := o.flags[len(o.flags)-1]
	o.flags = o.flags[len(o.flags)-2:] // an export needs no AWS
	text := o.must(append([]string{"export", "terraform-lists", "--port", "443,8000-8080"}, compact...)...)
	o.flags = []string{"--endpoint-url", o.url, "--region", "us-east-1", "--ip-ranges", ranges}
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "cloudfront.tf")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	rules := 0
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		if b.Type != "resource" {
			continue
		}
		if b.Labels[0] != "aws_ec2_managed_prefix_list" {
			rules++
			continue
		}
		size, err := strconv.Atoi(textOf(t, b.Body.Attributes["max_entries"].Expr))
		if err != nil {
			t.Fatal(err)
		}
		l := ec2sim.PrefixList{Name: textOf(t, b.Body.Attributes["name"].Expr), Family: textOf(t, b.Body.Attributes["address_family"].Expr), MaxEntries: size, Tags: map[string]string{}}
		tags, diags := b.Body.Attributes["tags"].Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for key, value := range tags.AsValueMap() {
			l.Tags[key] = value.AsString()
		}
		for _, inner := range b.Body.Blocks {
			if inner.Type == "entry" {
				l.Entries = append(l.Entries, ec2sim.PrefixListEntry{
					Prefix: netip.MustParsePrefix(textOf(t, inner.Body.Attributes["cidr"].Expr)), Description: textOf(t, inner.Body.Attributes["description"].Expr),
				})
			}
		}
		if _, err := o.here().CreatePrefixList(l); err != nil {
			t.Fatal(err)
		}
	}
	if rules != 4 {
		t.Errorf("%d rules for two families on two port ranges", rules)
	}
	o.must(append([]string{"plan", "--detailed-exitcode"}, compact...)...)
	later := strings.Replace(originFacingRanges, "2026-01-02-03-04-05", "2026-01-03-03-04-05", 1)
	later = strings.Replace(later, "1767323045", "1767409445", 1)
	later = strings.Replace(later, `"99.84.4.0/24"`, `"52.84.4.0/24"`, 1)
	if err := os.WriteFile(ranges, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout := o.must(append([]string{"apply", "--yes"}, compact...)...); !strings.Contains(stdout, "1 entry added, 1 removed, in 1 of 2") {
		t.Errorf("got %s", stdout)
	}
}
