package main

import (
	"fmt"
	"strconv"
	"strings"

	"cloudfront-sg-sync/secgroup"
)

// shellQuoted writes a word as a shell reads it.
func shellQuoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@=+,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ruleCommand is what authorizes or revokes a rule where it was found, word by word.
func (f placeFlags) ruleCommand(action, region, group string, id secgroup.RuleID, description string) []string {
	list, source := "IpRanges", "CidrIp="+id.Source.String()
	if secgroup.FamilyOf(id.Source.Prefix) == secgroup.IPv6 {
		list, source = "Ipv6Ranges", "CidrIpv6="+id.Source.String()
	}
	if description != "" {
		source += ",Description=" + strconv.Quote(description) // EC2 takes no quotes and no backslashes in one
	}
	ports := ""
	if id.From >= 0 {
		ports = fmt.Sprintf("FromPort=%d,ToPort=%d,", id.From, id.To)
	}
	command := []string{"aws", "ec2", action + "-security-group-ingress"}
	if f.Profile != "" {
		command = append(command, "--profile", f.Profile)
	}
	if f.EndpointURL != "" {
		command = append(command, "--endpoint-url", f.EndpointURL)
	}
	return append(command, "--region", region, "--group-id", group, "--ip-permissions", fmt.Sprintf("IpProtocol=%s,%s%s=[{%s}]", id.Protocol, ports, list, source))
}

// thousands writes a number in groups of three digits.
func thousands(n uint64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
