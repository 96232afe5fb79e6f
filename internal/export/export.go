// Package export writes the ranges for firewalls and servers other than security groups.
package export

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/ipspace"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/iprange"
	"cloudfront-sg-sync/secgroup"
)

// An Input holds the ranges to export. A family without ranges lets nobody in.
type Input struct {
	*iprange.Publication
	Selection iprange.Selection // that the publication was made with
	// TagKey is the key of the tag of lists that the function keeps current.
	TagKey string
	// Ports are the TCP ports that only the ranges may reach. Only formats with HasPorts use them.
	Ports []secgroup.PortRange
	// Via holds the addresses that a load balancer in front of the host connects from. Formats that let in then let in
	// only those, unless the load balancer names CloudFront's address in the PROXY protocol.
	Via           []netip.Prefix
	ProxyProtocol bool
}

// A Format is a format for one kind of firewall or server.
type Format struct {
	Name    string
	Summary string // in a few words
	// HasPorts says that the format names ports. The others are for a server that already has its own.
	HasPorts bool
	// NotForHosts says that the format is for Terraform or a program. The others are for a host, which may be behind a
	// load balancer; HasProxy says that the server reads the address behind it from the PROXY protocol.
	NotForHosts, HasProxy bool
	// Trusts says that the format names proxies that the server trusts, and lets everyone in.
	Trusts bool
	// Script says that the export is run by sh, and Volatile that a restart forgets what was loaded.
	Script, Volatile bool
	Commands
	// Writes are folders that the script writes to, as systemd.exec(5) has them.
	Writes []string
}

// Commands are those by which a server checks its configuration and loads a changed file.
type Commands struct{ Check, Reload string }

// Formats lists all formats. Their texts are based on:
//
//   - nft(8), and https://wiki.nftables.org/wiki-nftables/index.php/Atomic_rule_replacement
//   - iptables-restore(8), iptables-extensions(8), ufw(8), firewall-cmd(1)
//   - https://learn.microsoft.com/en-us/powershell/module/netsecurity/new-netfirewallrule
//   - https://nginx.org/en/docs/http/ngx_http_geo_module.html and ngx_http_realip_module.html
//   - https://httpd.apache.org/docs/2.4/expr.html and mod/mod_remoteip.html
//   - https://docs.haproxy.org/2.6/configuration.html, sections 4.2 (set-src, expect-proxy) and 7.1
//   - https://caddyserver.com/docs/caddyfile/matchers#remote-ip and options#trusted-proxies
//   - https://doc.traefik.io/traefik/routing/entrypoints/#forwarded-headers
//   - https://developer.hashicorp.com/terraform/language/values/locals
//   - https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/ec2_managed_prefix_list
var Formats = []Format{
	{
		Name: "nftables", Summary: "a table of its own, replaced in one transaction", HasPorts: true, Volatile: true,
		Commands: Commands{"nft -c -f FILE", "nft -f FILE"},
	},
	{
		Name: "iptables", Summary: "a script: two chains of its own for each family, replaced in one commit",
		HasPorts: true, Volatile: true, Script: true,
	},
	{
		Name: "ufw", Summary: "a script of ufw commands: first the new rules, then the old ones",
		HasPorts: true, Script: true, Writes: []string{"-/etc/ufw"},
	},
	{
		Name: "firewalld", Summary: "a script of firewall-cmd commands: ipsets, and rich rules that come first",
		HasPorts: true, Script: true,
	},
	{
		Name: "windows", Summary: "PowerShell: one rule of Windows Defender Firewall, set at once", HasPorts: true,
		Commands: Commands{Reload: `.\FILE`},
	},
	{Name: "nginx", Summary: "a geo block that tells CloudFront from everyone else", HasProxy: true, Commands: nginx},
	{Name: "nginx-realip", Summary: "the proxies by which nginx believes X-Forwarded-For", Trusts: true, Commands: nginx},
	{Name: "apache", Summary: "Require directives", Commands: apache},
	{Name: "apache-remoteip", Summary: "the same for Apache's mod_remoteip", Trusts: true, Commands: apache},
	{Name: "haproxy", Summary: "a file for an acl", HasProxy: true, Commands: haproxy},
	{
		Name: "haproxy-realip", Summary: "the same for HAProxy: a file, and the lines that use it", Trusts: true,
		Commands: haproxy,
	},
	{Name: "caddy", Summary: "a snippet to import", Commands: caddy},
	{Name: "caddy-trusted-proxies", Summary: "the same for Caddy, strict", Trusts: true, Commands: caddy},
	{
		Name: "traefik-trusted-ips", Summary: "the same for an entry point of Traefik", Trusts: true,
		Commands: Commands{Reload: "systemctl restart traefik"},
	},
	{Name: "terraform", Summary: "locals with both lists", NotForHosts: true},
	{
		Name: "terraform-lists", Summary: "prefix lists that the function keeps up to date, and rules that refer to them",
		HasPorts: true, NotForHosts: true,
	},
	{Name: "json", Summary: "a document with both lists", NotForHosts: true},
	{Name: "csv", Summary: "a line for each range", NotForHosts: true},
}

var (
	nginx   = Commands{"nginx -t", "nginx -s reload"}
	apache  = Commands{"apachectl configtest", "apachectl graceful"}
	haproxy = Commands{"haproxy -c -f /etc/haproxy/haproxy.cfg", "systemctl reload haproxy"}
	caddy   = Commands{"caddy validate --config /etc/caddy/Caddyfile", "systemctl reload caddy"}
)

// The texts are templates named after their format, except for JSON.
//
//go:embed formats
var files embed.FS

var texts = sync.OnceValue(func() *template.Template {
	funcs := template.FuncMap{"portsWith": portsWith, "lower": strings.ToLower, "join": strings.Join}
	return template.Must(template.New("").Funcs(funcs).ParseFS(files, "formats/*.tmpl"))
})

// plainName matches the names of services that are harmless in any text.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Write writes the input in the format.
func (f Format) Write(w io.Writer, in Input) error {
	for _, service := range slices.Concat(in.Selection.Services, in.Selection.Within) {
		if !plainName.MatchString(service) {
			return fmt.Errorf("service %q: an export names its services in comments and scripts, "+
				"so only letters, digits, _ and - are allowed", service)
		}
	}
	switch f.Name {
	case "terraform-lists":
		if err := in.fitsLists(); err != nil {
			return err
		}
	case "json":
		return in.writeJSON(w)
	}
	if in.Admits(f) {
		in.Publication = new(iprange.Publication)
		in.IPv4, in.IPv6 = ipspace.Split(in.Via)
	}
	var text bytes.Buffer
	if err := texts().ExecuteTemplate(&text, f.Name+".tmpl", struct {
		Input
		Format
	}{in, f}); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	_, err := text.WriteTo(w)
	return err
}

// Admits reports whether a format lets in the load balancer instead of CloudFront.
func (in Input) Admits(f Format) bool { return len(in.Via) > 0 && !f.Trusts && !in.ProxyProtocol }

// ViaList lists the addresses that the load balancer connects from.
func (in Input) ViaList() string { return strings.Join(words.Strings(in.Via), " ") }

// Stamp describes the ranges: their services and publication, or that they are the load balancer's.
func (in Input) Stamp() string {
	if in.SyncToken == "" {
		return in.ViaList() + ", which a load balancer connects from (--via)"
	}
	return fmt.Sprintf("%s as published %s (sync token %s)", in.Selection, in.Time(), in.SyncToken)
}

// Time returns the time of publication (RFC 3339).
func (in Input) Time() string { return in.Published.UTC().Format(time.RFC3339) }

// PortList lists the ports for a reader.
func (in Input) PortList() string { return portsWith(in.Ports, "-", " ") }

// Left is a comment on a family without ranges; empty if both have ranges.
func (in Input) Left() string {
	switch {
	case len(in.IPv4) == 0:
		return "No IPv4 range is exported: nobody is let in over IPv4."
	case len(in.IPv6) == 0:
		return "No IPv6 range is exported: nobody is let in over IPv6."
	}
	return ""
}

// OnlySSH is a warning in the comment of a format that shuts everyone else out, if SSH's port is on the list.
func (in Input) OnlySSH() string {
	if slices.ContainsFunc(in.Ports, func(p secgroup.PortRange) bool { return p.From <= 22 && 22 <= p.To }) {
		return "Port 22 is one of them: once this is loaded, only these ranges reach SSH, and you do not."
	}
	return ""
}

// portsWith lists ports with the given separators, between the ends of a range and between ports.
func portsWith(ports []secgroup.PortRange, dash, separator string) string {
	var words []string
	for _, p := range ports {
		words = append(words, strings.Replace(p.String(), "-", dash, 1))
	}
	return strings.Join(words, separator)
}

// writeJSON writes a document. JSON has no comments, so its members name the source.
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
		"cfsg export json (cloudfront-sg-sync)", in.Selection.Services, append([]string{}, in.Selection.Within...),
		in.SyncToken, in.Time(), append([]netip.Prefix{}, in.IPv4...), append([]netip.Prefix{}, in.IPv6...),
	})
}

// mostAtOnce is the number of entries that a prefix list can be created with: Terraform's provider makes a single call.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateManagedPrefixList.html
const mostAtOnce = 100

// fitsLists refuses more ranges than a list can be created with. A list without its entries would let nobody in.
func (in Input) fitsLists() error {
	for _, list := range in.Lists() {
		if n := len(list.Ranges); n > mostAtOnce {
			return hint.New(fmt.Sprintf("a prefix list can be created with %d entries, and there are %d %s ranges",
				mostAtOnce, n, list.Family), "export the compact cover (--service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT)")
		}
	}
	return nil
}

// A PrefixList is a prefix list to create.
type PrefixList struct {
	Family string
	Size   int
	Ranges []netip.Prefix
}

// Lists returns a prefix list for each family that has ranges.
func (in Input) Lists() []PrefixList {
	var lists []PrefixList
	for _, l := range []PrefixList{{Family: "IPv4", Ranges: in.IPv4}, {Family: "IPv6", Ranges: in.IPv6}} {
		if l.Size = secgroup.ListSize(len(l.Ranges)); len(l.Ranges) > 0 {
			lists = append(lists, l)
		}
	}
	return lists
}

// Weight is the number of rules that the references to the lists count as, on all ports.
func (in Input) Weight() int {
	weight := 0
	for _, l := range in.Lists() {
		weight += l.Size * len(in.Ports)
	}
	return weight
}

// TooHeavy reports whether a security group needs a higher quota for the rules. See
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
func (in Input) TooHeavy() bool { return in.Weight() > engine.DefaultRulesPerGroup }

// Description is the description of an entry, by which the function recognizes it.
func (in Input) Description() string {
	return fmt.Sprintf("%s: %s %s", in.TagKey, in.Selection, in.Time())
}
