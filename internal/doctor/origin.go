package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// An Origin is where CloudFront sends its requests.
type Origin struct {
	URL  *url.URL // with a host in lower case, and a path
	Port uint16   // that of the URL
	// Other is the port of the other scheme if the URL names no port, as CloudFront may use both, otherwise 0.
	Other uint16
}

// ParseOrigin reads a URL, or a bare host, for which https is assumed. Its errors never quote credentials.
func ParseOrigin(text string) (Origin, error) {
	if !strings.Contains(text, "://") {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
			text = "[" + text + "]"
		}
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil && strings.Contains(text, "@") {
		err = errors.New("it cannot be parsed") // the error of Parse quotes the URL, including a password
	}
	if err != nil {
		return Origin{}, fmt.Errorf("not a URL such as https://origin.example.com/: %w", cmp.Or(errors.Unwrap(err), err))
	}
	switch {
	case u.User != nil:
		return Origin{}, errors.New("the URL contains credentials: leave them out (the checks do not need them, and they would end up in the origin's log)")
	case u.Scheme != "http" && u.Scheme != "https":
		return Origin{}, fmt.Errorf("%s is not a scheme that CloudFront speaks to origins: use http or https", u.Scheme)
	case u.Hostname() == "":
		return Origin{}, errors.New("the URL has no host: give one such as https://origin.example.com/")
	case strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r > '~' || r <= ' ' }):
		return Origin{}, fmt.Errorf("the host %q is not ASCII: write it in its xn-- form", u.Hostname())
	}
	o := Origin{URL: u}
	if err := o.setPorts(); err != nil {
		return Origin{}, err
	}
	u.Host = strings.ToLower(u.Host)
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return o, nil
}

func (o *Origin) setPorts() error {
	o.Port, o.Other = 443, 80
	if o.URL.Scheme == "http" {
		o.Port, o.Other = 80, 443
	}
	_, text, found := strings.Cut(o.URL.Host[strings.LastIndex(o.URL.Host, "]")+1:], ":")
	if !found {
		return nil
	}
	var err error
	o.Port, err = parsePort(text)
	o.Other = 0
	return err
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", text)
	}
	return uint16(port), nil
}

func (o Origin) String() string { return o.URL.String() }

// Name returns the host without its port.
func (o Origin) Name() string { return o.URL.Hostname() }

func (o Origin) isSecure() bool { return o.URL.Scheme == "https" }

// CheckHost refuses what cannot be a Host header.
func CheckHost(host string) error {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := parsePort(port); err != nil {
			return err
		}
		name = h
	}
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && addr.Is6() {
		return nil
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r > '~' || r <= ' ' || strings.ContainsRune("/@?#:", r) }) {
		return fmt.Errorf("%q is not a host such as www.example.com", host)
	}
	return nil
}
