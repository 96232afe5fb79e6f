package secgroup

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/words"
)

// An OlderError says that the file is older than what a rule was made from.
type OlderError struct {
	Kind              Kind
	HolderID          string
	Rule              Rule
	Newest, Published time.Time
}

func (e *OlderError) Error() string {
	left := "its pool"
	if e.Kind == ManagedPrefixList {
		left = "the list"
	}
	return fmt.Sprintf("the file was published at %s, but %s of %s was made from a newer one (%q), so %s was left as it is; %s",
		e.Published.UTC().Format(time.RFC3339), e.Rule.name(), e.HolderID, e.Rule.Description, left, e.Hint())
}

// Hint returns what to do about it.
func (*OlderError) Hint() string {
	return "fetch the newer file, or run with force to go back to this one"
}

// A ShortageError says that a pool or a prefix list has no room for all that it should hold.
type ShortageError struct {
	Kind  Kind
	Pool  string
	Ports []PortShortage
	// MoreGroups in the same pool would make room; so would a quota of RulesPerGroup. A list needs MaxEntries.
	MoreGroups, RulesPerGroup, MaxEntries int
	// Cause, if set, is why there is no room although the pool may be large enough.
	Cause  string
	TagKey string
	IDs    []string // the groups that the pool has now
	// The caller may set these: the rules that each port would need for CloudFront's compact cover, and the pool's region.
	Compact Weight
	Region  string
}

// A PortShortage is the room a port lacks in one family.
type PortShortage struct {
	Port              PortRange
	Family            Family
	Needed, Available int // rules
}

// Missing counts the rules that have no room.
func (e *ShortageError) Missing() int {
	n := 0
	for _, s := range e.Ports {
		n += s.Needed - s.Available
	}
	return n
}

func (e *ShortageError) Error() string {
	var ports []string
	for _, s := range e.Ports {
		ports = append(ports, fmt.Sprintf("port %s needs %d %s rules, room for %d", s.Port, s.Needed, s.Family, s.Available))
	}
	text := fmt.Sprintf("pool %q is too small: %s", e.Pool, strings.Join(ports, "; "))
	if e.Kind == ManagedPrefixList {
		text = fmt.Sprintf("%s is too small: it needs %s, room for %d", e.Pool, words.Count(e.Ports[0].Needed, e.Ports[0].Family.String()+" entry"), e.Ports[0].Available)
	}
	if e.Cause != "" {
		return text + ": " + e.Cause
	}
	return text + "; " + e.Hint()
}

// Hint returns the ways to make room. It is empty if there is a Cause, which says what to do.
func (e *ShortageError) Hint() string {
	if e.Cause != "" {
		return ""
	}
	var ways []string
	if e.Compact != (Weight{}) {
		ways = append(ways, fmt.Sprintf("let in only the blocks of CLOUDFRONT with servers that connect to origins: set SERVICES=CLOUDFRONT_ORIGIN_FACING and WITHIN=CLOUDFRONT (cfsg --service CLOUDFRONT_ORIGIN_FACING --within CLOUDFRONT): %d IPv4 and %d IPv6 rules a port",
			e.Compact[IPv4], e.Compact[IPv6]))
	}
	switch {
	case e.Kind == ManagedPrefixList && e.MaxEntries <= maxEntries:
		ways = append(ways, fmt.Sprintf("enlarge it: aws ec2 modify-managed-prefix-list%s --prefix-list-id %s --max-entries %d. Each security group that refers to the list must have room for that in its quota of rules (L-0EA8095F)",
			inRegion(e.Region), e.Pool, ListSize(e.MaxEntries)))
	case e.Kind == SecurityGroup && len(e.IDs)+e.MoreGroups <= maxInterfaceGroups:
		ways = append(ways, e.moreGroups())
	}
	if e.Kind == SecurityGroup && e.RulesPerGroup <= MaxInterfaceRules {
		quota := fmt.Sprintf("raise quota L-0EA8095F (inbound rules per security group) to %d", e.RulesPerGroup)
		if most := MaxInterfaceRules / e.RulesPerGroup; most < InterfaceGroups {
			quota += fmt.Sprintf(", with which a network interface takes %s", words.Count(most, "group"))
		}
		ways = append(ways, quota)
	}
	if ways == nil {
		return "open fewer ports, or ask for fewer services"
	}
	return strings.Join(ways, "; or ")
}

// moreGroups says how many groups to create, how to tag them and where to attach them.
func (e *ShortageError) moreGroups() string {
	var ports []PortRange
	for _, s := range e.Ports {
		ports = append(ports, s.Port)
	}
	pool := tag(e.TagKey+poolSuffix, e.Pool)
	limit := fmt.Sprintf("a network interface takes %d groups by default, an Application Load Balancer %[1]d", InterfaceGroups)
	if total := len(e.IDs) + e.MoreGroups; total > InterfaceGroups {
		limit = fmt.Sprintf("%d groups in all, but a network interface takes %d by default (quota L-2AFB9258, at most %d), and an Application Load Balancer %[2]d", total, InterfaceGroups, maxInterfaceGroups)
	}
	them, there, are, too := "it", strings.Join(e.IDs, ", "), "are", " as the others of the pool are"
	if e.MoreGroups > 1 {
		them = "them"
	}
	if len(e.IDs) == 1 {
		are = "is"
	}
	if there == e.Pool { // a group of its own: without the tag it would not share with the new ones
		too = fmt.Sprintf(", and %s %s as well", there, pool)
	}
	return fmt.Sprintf("make %s, attach %s wherever %s %s (%s), and then tag %[2]s %[6]s and %s%s",
		words.Count(e.MoreGroups, "more group"), them, there, are, limit, tag(e.TagKey, strings.Join(PortNames(SortPorts(ports)), " ")), pool, too)
}

// inRegion returns the flag of a command for a region, unless the reader knows which one it is.
func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " --region " + region
}

// tag writes a tag as key=value.
func tag(key, value string) string {
	if strings.Contains(value, " ") {
		value = strconv.Quote(value)
	}
	return key + "=" + value
}
