package doctor

import "fmt"

// A Finding is one thing to know, and what to do about it.
type Finding struct {
	Code    string  `json:"code"` // for programs; it does not change
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	Advice  string  `json:"advice,omitempty"`
	// CloudFrontStatus is what CloudFront answers for it, 0 if the origin's answer is passed on.
	CloudFrontStatus int    `json:"cloudFrontStatus,omitempty"`
	Source           string `json:"source,omitempty"` // the page that says so
}

// finding returns the finding with a code of the catalog, and a message.
func finding(code, format string, args ...any) Finding {
	f := catalog[code]
	f.Code, f.Message = code, printable(fmt.Sprintf(format, args...))
	return f
}

// advise fills the gaps in the advice.
func (f Finding) advise(args ...any) Finding {
	f.Advice = printable(fmt.Sprintf(f.Advice, args...))
	return f
}

// as returns the finding with another verdict: one that is not a failure gets no status.
func (f Finding) as(v Verdict) Finding {
	if f.Verdict = v; v != Fail {
		f.CloudFrontStatus = 0
	}
	return f
}

func entry(verdict Verdict, status int, source, advice string) Finding {
	return Finding{Verdict: verdict, CloudFrontStatus: status, Source: source, Advice: advice}
}

// The pages of CloudFront's documentation that say what it expects from an origin.
const (
	guide            = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/"
	pageOrigin       = guide + "DownloadDistValuesOrigin.html"
	pageBehavior     = guide + "RequestAndResponseBehaviorCustomOrigin.html"
	page504          = guide + "http-504-gateway-timeout.html"
	page503          = guide + "http-503-service-unavailable.html"
	page502          = guide + "http-502-bad-gateway.html"
	pageCertificates = guide + "cnames-and-https-requirements.html"
	pageCiphers      = guide + "secure-connections-supported-ciphers-cloudfront-to-origin.html"
	pageMutualTLS    = guide + "origin-mtls-authentication.html" // mtls-authentication.html is about viewers
	pageIPv6         = guide + "cloudfront-enable-ipv6.html"
	pageVPCOrigins   = guide + "private-content-vpc-origins.html"
	pageQuotas       = guide + "cloudfront-limits.html"
	pageSecret       = guide + "restrict-access-to-load-balancer.html"
	pageRotation     = "https://aws.amazon.com/blogs/security/how-to-enhance-amazon-cloudfront-origin-security-with-aws-waf-and-aws-secrets-manager/"
)

// Advice that several findings share.
const (
	install = "Install the certificate together with all its intermediates, the one that signed it first (fullchain.pem, not cert.pem)."
	private = "A private authority (your own, AWS Private CA, a CDN's origin authority) will not do: CloudFront trusts only Mozilla's " +
		"list. Get a certificate from Let's Encrypt, say, or from ACM for a load balancer."
	// An ACME authority checks HTTP-01 and TLS-ALPN-01 from addresses that it does not publish, and several of them. See
	// https://letsencrypt.org/docs/challenge-types/ and https://letsencrypt.org/docs/faq/
	renewal = "An origin that lets in only CloudFront shuts out the ACME authority's checks by HTTP-01 and TLS-ALPN-01: renew by " +
		"DNS-01, or use ACM on a load balancer."
	cutOff = "Something cuts a connection that it accepted: a process that crashes or is killed (look at the server's log and the " +
		"kernel's), a proxy or load balancer whose idle timeout is over, a firewall or an intrusion prevention system on the way, or a " +
		"server that expects something else on this port, such as TLS or a PROXY protocol header."
	// Behind CloudFront, what connects is not the viewer.
	limitsByAddress = "Limits and bans by connecting address (limit_req, mod_evasive, fail2ban, a rate-based rule) take all viewers " +
		"behind CloudFront for a few: let them count the viewer's address, from X-Forwarded-For of trusted proxies, or exempt " +
		"CloudFront's ranges (cfsg export)."
	otherName = "The server does not accept the name %s, which it got as Host header and by TLS (SNI): pass the name that the " +
		"distribution forwards with --host, or let the server answer for this one. If this is a port for TLS, the URL has to say https."
)

// catalog has, by code, what is the same of a finding wherever it is made. Gaps in an advice are for [Finding.advise].
var catalog = map[string]Finding{
	"ip-literal":         entry(Warn, 0, pageOrigin, "To see the origin as CloudFront does, use the name from the distribution."),
	"many-addresses":     entry(Warn, 0, "", "Examine the others by their addresses."),
	"ipv6-only":          entry(Warn, 502, pageIPv6, "CloudFront connects over IPv4 unless the origin's IP address type is ipv6 or dualstack: set it, or add an A record."),
	"family-missing":     entry(Fail, 502, pageOrigin, "Add a record of this family, or change the origin's IP address type in the distribution."),
	"name-not-resolved":  entry(Fail, 502, page502, "Check the spelling, and whether the zone's name servers answer: dig NS on its zone, then dig %s @ each of them. CloudFront resolves names on the internet: it does not see a private zone."),
	"name-lookup-failed": entry(Fail, 0, page502, "No answer came, which may be this machine's resolver: ask another one (dig %s @1.1.1.1). If that fails too, CloudFront fails as well."),
	"address-not-public": entry(Fail, 504, page504, "Give the origin a public address, or make it a VPC origin ("+pageVPCOrigins+")."),

	// The groups are looked at by [Options.Groups].
	"groups-block":         entry(Fail, 504, page504, "cfsg check shows which ranges, and what lets them in."),
	"groups-origin-facing": entry(Warn, 0, "", ""),
	"groups-unknown":       entry(Warn, 0, "", ""),
	"groups-open":          entry(Warn, 0, "", "Before you revoke it, cfsg check says whether CloudFront gets in without it."),

	"not-examined":       entry(Unknown, 0, "", "Run cfsg doctor on a machine that can reach it."),
	"port-not-permitted": entry(Warn, 0, pageOrigin, "Let the origin listen on one of these too."),
	"connect-slow": entry(Warn, 0, pageOrigin, "On a healthy network, connecting takes one round trip, and a packet that nobody answers is sent again after 1 s. "+
		"So the server's backlog is full, the host has no CPU left, or packets get lost on the way. With more traffic, connections will fail."),
	"connect-refused": entry(Fail, 502, page502, "The host is up, but nothing listens on this port, or a firewall rejects connections: start the server, let it listen on all "+
		"addresses and not just on loopback, and compare the port with the origin's settings in the distribution."),
	"connect-no-route":  entry(Warn, 0, "", "If CloudFront is to use this address, run cfsg doctor on a machine that has a route."),
	"connect-reset":     entry(Fail, 502, page502, cutOff),
	"connect-failed":    entry(Fail, 502, page502, "This machine could not connect, by an error of its own: try another one, or the origin's host itself."),
	"connect-timeout":   entry(Fail, 504, page504, "%s the network ACL, the host's own firewall (cfsg export), the route to the internet, and whether the host is up."),
	"connect-closed":    entry(OK, 0, page504, "To check what is behind them, run cfsg doctor on the origin itself."),
	"other-port-closed": entry(OK, 0, pageOrigin, ""),

	"tls-not-spoken":         entry(Fail, 502, page502, "Set up TLS on this port, or let the distribution connect by HTTP (protocol policy http-only)."),
	"tls-timeout":            entry(Fail, 504, page504, "The server hangs or is overloaded, or it waits for something else on this port, such as a PROXY protocol header."),
	"tls-closed":             entry(Fail, 502, page502, "Many servers do this for a name that they do not know: is there a virtual host %s?"),
	"tls-reset":              entry(Fail, 502, page502, "If the server does not know the name %s, give it a virtual host of this name. "+cutOff),
	"tls-handshake-failed":   entry(Fail, 502, page502, "Let the server accept TLS 1.2 or 1.3 and one of the ciphers that CloudFront offers: "+pageCiphers),
	"tls-old-protocol":       entry(Warn, 502, pageOrigin, "This works only if the minimum protocol of the origin in the distribution is that low. Set up TLS 1.2 or 1.3."),
	"tls-client-certificate": entry(Warn, 502, pageMutualTLS, "Set it up in the distribution, or do not ask for one."),
	"client-certificate":     entry(Fail, 502, pageMutualTLS, "Set up origin mTLS in the distribution, or do not demand one."),

	"certificate-name": entry(Fail, 502, page502, "Get a certificate for the distribution's origin domain name, or for the viewers' host name if the distribution forwards the "+
		"Host header (then use --host here)."),
	"certificate-expired":       entry(Fail, 502, page502, "Renew it, and let the server load the new one: many keep the old one until they are reloaded. "+renewal),
	"certificate-not-yet-valid": entry(Fail, 502, page502, "Check the clock of the machine that issued it, and of this one."),
	"certificate-expires-soon":  entry(Warn, 502, page502, "Renew it. If it should renew itself, find out why it did not. "+renewal),
	"certificate-invalid":       entry(Fail, 502, page502, "Get a new one."),
	"certificate-self-signed": entry(Fail, 502, page502, "CloudFront accepts only certificates from a public authority (Mozilla's list): get one, for example from Let's Encrypt, "+
		"or from ACM for a load balancer."),
	"chain-order":      entry(Fail, 502, page502, install),
	"chain-incomplete": entry(Fail, 502, page502, "If %s is a public authority: "+install+" "+private),
	"chain-untrusted":  entry(Fail, 502, page502, private+" If it is a public one, a certificate is missing from the chain, or this machine's list is out of date."),

	"answer-stalled":    entry(Fail, 504, page504, "CloudFront drops such a connection. Find out what the application waits for."),
	"answer-cut":        entry(Warn, 0, pageBehavior, "Viewers get an incomplete object. The log of the server may say why."), // see "Dropped TCP connections" there
	"header-slow":       entry(Fail, 504, page504, "The server sends its header in pieces. Find out what the application waits for."),
	"reconnect-timeout": entry(Fail, 504, page504, "The server accepts too few connections: raise its backlog and number of workers."),
	"response-timeout": entry(Fail, 504, page504, "The connection succeeds, but the application does not answer: look at its log and at what it waits for (a database, another service). "+
		"If it legitimately takes this long, raise the origin's response timeout (1 to 120 s, more on request) and look again with --response-timeout."),
	"header-too-long": entry(Fail, 502, pageQuotas, "Send fewer or shorter headers; cookies are the usual reason."),
	"answer-reset":    entry(Fail, 502, page502, cutOff),
	"answer-closed":   entry(Fail, 502, page502, "The server or a proxy in front of it gives up: look at its log. A server that expects TLS on a plain port, or the reverse, also does this."),
	"answer-invalid":  entry(Fail, 502, page502, "Is there a web server on this port, and does it match the URL's scheme?"),
	"answer-endless": entry(Warn, 0, pageOrigin, "CloudFront waits as long as any data keeps coming, unless the origin has a response completion timeout. "+
		"To measure the timing, use a URL with a short answer."),

	"redirect-invalid": entry(Warn, 0, pageBehavior, ""),
	"redirect-loop": entry(Fail, 0, pageBehavior, "CloudFront does not follow redirects, but passes them on. Look at the rules of the server and of the "+
		"application that add or strip a slash, a host or a scheme."),
	"redirect-to-https": entry(OK, 0, pageBehavior, "If the origin's protocol policy is http-only, viewers go round in circles: set it to https-only, or have the server look at "+
		"X-Forwarded-Proto before it redirects, or not redirect at all."),
	"redirect": entry(OK, 0, pageBehavior, ""),

	"auth-missing": entry(Warn, 0, pageSecret, "Let the distribution add a secret header, and the load balancer or server refuse requests without it; rotate it ("+pageRotation+"). "+
		"Or demand the client certificate of origin mTLS, which rules out WebSocket, gRPC and Lambda@Edge at the origin ("+pageMutualTLS+")."),
	"auth-unknown":     entry(Warn, 0, pageSecret, "Look at what the load balancer, its web ACL and the server demand of a request."),
	"headers-withheld": entry(Warn, 0, pageSecret, "CloudFront sends it by HTTP, for others to read on the way: set the origin's protocol policy to https-only."),

	"load-cut": entry(Warn, 0, "", ""),
	"requests-failed": entry(Fail, 502, page502, "CloudFront tries a GET up to %d times, other methods once. Look for a limit that is hit now and then: workers, connections, file descriptors, "+
		"the backlog, connections to the database. "+limitsByAddress),
	"error-answers": entry(Warn, 0, pageBehavior, "CloudFront passes them on. Look at the logs of the server and of the proxy in front of it for what they have in common."),
	"response-slow": entry(Warn, 0, page504, "Viewers wait for it, and under more load it comes too late: look at the queries and services that the application waits for, and at the host's CPU and memory."),
	"not-kept":      entry(Warn, 0, pageOrigin, "Allow persistent connections (HTTP/1.1 keep-alive) in the server."),
	"closed-early": entry(Warn, 502, pageOrigin, "Let the server keep connections longer than CloudFront does (Node.js and Apache close after 5 s unless told "+
		"otherwise), or lower the origin's keep-alive timeout."),

	// The origin's own statuses. CloudFront passes all of them on.
	"status-502": entry(Fail, 0, page502, "CloudFront only passes it on. A proxy or load balancer in front of the application cannot talk to it: is the "+
		"application running, and on the port that the proxy expects?"),
	"status-503": entry(Warn, 0, page503, "CloudFront passes it on. The server is overloaded or in maintenance, or its load balancer has no healthy target: look at the health checks, and at "+
		"the host's CPU, memory and disk."),
	"status-504": entry(Fail, 0, page504, "CloudFront only passes it on. A proxy or load balancer in front of the application did not get an answer in "+
		"time: look at its targets and at the timeout that it uses for them."),
	"status-5xx": entry(Warn, 0, pageBehavior, "CloudFront passes it on. The application fails: its log says why. If only this path fails, so does only this path for viewers."),
	"status-400": entry(Warn, 0, pageBehavior, otherName),
	"status-421": entry(Warn, 0, pageBehavior, otherName), // RFC 9110, 15.5.20: the server does not answer for this name
	"status-429": entry(Warn, 0, pageBehavior, limitsByAddress),
	"status-denied": entry(Warn, 0, pageBehavior, "If the origin expects a secret header from CloudFront, pass it with --header. Otherwise it may admit only some connecting addresses (cfsg export writes "+
		"CloudFront's) or Host headers (--host), or a web ACL blocks the request. Until then only refusals are timed."),
	"status-4xx": entry(Warn, 0, pageBehavior, "Use a URL that exists, and headers (--host, --header) for which the origin answers a GET: the timing of an error page says little."),
}
