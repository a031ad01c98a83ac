package oci

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A guard says where a registry may send us. Hostile registries, and hostile
// networks before plain ones, name addresses inside our network in redirects,
// upload locations and token realms.
type guard struct {
	root  *url.URL // of the registry
	plain bool     // the registry itself is spoken to without TLS
	realm string   // Options.TokenRealm
	// realmHost is the host that realm names, with a port if it is not the scheme's.
	realmHost string
	trust     []string

	mu      sync.Mutex
	ips     map[netip.Addr]bool // addresses the registry itself was reached at
	proxies map[string]bool
}

// errRefused is in the chain of every error by which the guard stops a request.
var errRefused = errors.New("refused")

func newGuard(root *url.URL, o Options) *guard {
	g := &guard{root: root, plain: o.PlainHTTP, realm: o.TokenRealm, trust: o.TrustHosts,
		ips: map[netip.Addr]bool{}, proxies: map[string]bool{}}
	g.realmHost = o.TokenRealm
	if u, err := url.Parse(o.TokenRealm); err == nil && u.Host != "" {
		g.realmHost = u.Host
	}
	if ip, err := netip.ParseAddr(root.Hostname()); err == nil {
		g.ips[ip.Unmap()] = true
	}
	return g
}

// follow says whether a redirect or an upload location may lead to u.
func (g *guard) follow(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: the address on %s holds a user name", errRefused, u.Host)
	case u.Scheme != "https" && (u.Scheme != "http" || !g.plain):
		return fmt.Errorf("%w: it leads from https to %s://%s", errRefused, u.Scheme, u.Host)
	case sameOrigin(g.root, u) || g.trusted(u):
		return nil
	}
	return g.public(u)
}

// sendCredential says whether a credential may go to the token realm u.
func (g *guard) sendCredential(u *url.URL) error {
	if g.realm != "" && (u.Host == g.realm || u.Scheme+"://"+u.Host+u.Path == strings.TrimSuffix(g.realm, "/")) {
		return nil
	}
	own := u.Hostname() == g.root.Hostname()
	if u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !g.plain || !own) {
		return fmt.Errorf("%w: the token realm %s://%s is not https", errRefused, u.Scheme, u.Host)
	}
	return g.public(u)
}

// public refuses address literals that are private and not the registry's own;
// names are judged when they are dialed.
func (g *guard) public(u *url.URL) error {
	if u.Hostname() == "" {
		return fmt.Errorf("%w: an address without a host", errRefused)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || u.Hostname() == g.root.Hostname() {
		return nil
	}
	return g.allow(ip)
}

func (g *guard) allow(ip netip.Addr) error {
	ip = ip.WithZone("").Unmap()
	g.mu.Lock()
	defer g.mu.Unlock()
	if private(ip) && !g.ips[ip] {
		return fmt.Errorf("%w: %s is a private address on another host", errRefused, ip)
	}
	return nil
}

// learn notes an address at which the registry itself is dialed.
func (g *guard) learn(_, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ips[at.Addr().WithZone("").Unmap()] = true
	}
	return nil
}

// judge refuses to dial private addresses of other hosts.
func (g *guard) judge(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: cannot judge address %q", errRefused, address)
	}
	return g.allow(at.Addr())
}

// proxied notes a proxy, which the policy or the environment named.
func (g *guard) proxied(proxy *url.URL) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxies[net.JoinHostPort(proxy.Hostname(), port(proxy))] = true
}

// named reports whether the policy or the environment names the host that is
// about to be dialed, so that its address need not be judged.
func (g *guard) named(address string) bool {
	host, _, err := net.SplitHostPort(address)
	g.mu.Lock()
	defer g.mu.Unlock()
	return err == nil && (strings.EqualFold(host, g.root.Hostname()) || g.proxies[address] ||
		slices.Contains(g.trust, address) || slices.Contains(g.trust, host) || g.realmHost == address || g.realmHost == host)
}

// trusted reports whether the policy itself names u's host.
func (g *guard) trusted(u *url.URL) bool {
	return slices.Contains(g.trust, u.Host) || slices.Contains(g.trust, u.Hostname())
}

var reserved = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),  // carrier-grade NAT, and some clouds' metadata
	netip.MustParsePrefix("192.0.0.0/24"),   // IETF protocol assignments, and some clouds' metadata
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),    // future use
	netip.MustParsePrefix("64:ff9b::/96"),   // NAT64 of any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"), // local NAT64
	netip.MustParsePrefix("2002::/16"),      // 6to4 of any IPv4 address
	netip.MustParsePrefix("fec0::/10"),      // site-local, withdrawn but routed
}

func private(ip netip.Addr) bool {
	if ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return true
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// sameOrigin compares scheme, host and port (RFC 6454 section 5).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
}
