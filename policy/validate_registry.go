package policy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// validate checks what a registry's fields say together.
func (r Registry) validate(name string, ps *Problems) {
	path := join("registries", name)
	if r.Provider != "" && checkProvider(r.Provider) != nil {
		return // reported by its notation; what else it would need is not known
	}
	if r.ProviderName() == "layout" {
		r.validateLayout(path, ps)
		return
	}
	r.validateHost(path, ps)
	r.validateTLS(path, ps)
	r.validateCloud(path, ps)
	r.checkResourceID(path, ps)
	r.Auth.validate(join(path, "auth"), ps)
	r.validateNumbers(path, ps)
}

// validateLayout refuses what only a host has.
func (r Registry) validateLayout(path string, ps *Problems) {
	if r.Path == "" {
		ps.add(join(path, "path"), "is missing; a layout is a folder on disk, such as path: /srv/images")
	}
	if r.Host != "" {
		ps.add(join(path, "host"), "a layout has no host; use path, or another provider")
	}
	for _, f := range []struct {
		key string
		set bool
	}{
		{"plainHTTP", r.PlainHTTP}, {"apiHost", r.APIHost != ""}, {"reserve", !r.Reserve.IsZero()}, {"auth", r.Auth != Auth{}}, {"caFile", r.CAFile != ""},
		{"clientCert", r.ClientCert != ""}, {"clientKey", r.ClientKey != ""},
		{"proxy", !r.Proxy.IsZero()}, {"tokenRealm", r.TokenRealm != ""},
		{"trustHosts", len(r.TrustHosts) > 0}, {"limits", !reflect.ValueOf(r.Limits).IsZero()}, {"create", r.Create != Create{}},
	} {
		if f.set {
			ps.add(join(path, f.key), "a layout on disk has no %s; remove it", f.key)
		}
	}
	r.validateNumbers(path, ps)
}

func (r Registry) validateHost(path string, ps *Problems) {
	if r.Host == "" {
		ps.add(join(path, "host"), "is missing; expected one such as registry.example.com or registry.lab:5000")
	}
	if err := checkCloudHost(r.ProviderName(), r.Host); err != nil && checkHost(r.Host) == nil {
		ps.add(join(path, "host"), "%v", err)
	}
	if r.Path != "" {
		ps.add(join(path, "path"), "only a layout has a path; set provider: layout, or remove it")
	}
	if strings.HasPrefix(strings.ToLower(r.Host), "http://") && !r.PlainHTTP {
		ps.add(join(path, "host"), "plain http is used only when asked for; write https://, or add plainHTTP: true")
	}
	if strings.HasPrefix(strings.ToLower(r.Host), "https://") && r.PlainHTTP {
		ps.add(join(path, "plainHTTP"), "contradicts the https:// of the host; remove one of them")
	}
}

func (r Registry) validateTLS(path string, ps *Problems) {
	checkPair(path, "clientCert", "clientKey", r.ClientCert != "", r.ClientKey != "", ps)
	if r.PlainHTTP && (r.CAFile != "" || r.ClientCert != "") {
		ps.add(join(path, "plainHTTP"), "plain http uses no certificates; remove it, or caFile, clientCert and clientKey")
	}
	if proxy := r.Proxy.Reveal(); proxy != "" && r.Proxy.Literal() {
		if err := checkURL(proxy, "http", "https", "socks5"); err != nil {
			ps.add(join(path, "proxy"), "%v", err)
		}
	}
}

func (r Registry) validateNumbers(path string, ps *Problems) {
	checkHours(r.Limits.Hours, join(path, "limits"), ps)
	if r.Limits.Width < 0 || r.Limits.Width > 256 {
		ps.add(join(path, "limits.width"), "%d is not allowed; expected 1 to 256 requests in flight", r.Limits.Width)
	}
	if p := r.EgressPrice; p != nil && !(*p >= 0 && *p <= 1000) {
		ps.add(join(path, "egressPrice"), "%v is not allowed; expected USD per GB, 0 to 1000", *p)
	}
	for key := range r.Capabilities {
		if !slices.Contains(Abilities(), key) {
			ps.add(join(path, "capabilities."+key), "unknown capability %s; expected %s%s", quote(key), oneOf(Abilities()), suggest(key, Abilities()))
		}
	}
}

// validate makes sure that there is one way to sign in.
func (a Auth) validate(path string, ps *Problems) {
	var ways []string
	for _, w := range []struct {
		key string
		set bool
	}{
		{"username", !a.Username.IsZero() || !a.Password.IsZero()}, {"token", !a.Token.IsZero()},
		{"identityToken", !a.IdentityToken.IsZero()}, {"dockerConfig", a.DockerConfig != ""}, {"anonymous", a.Anonymous},
		{"aws", a.AWS != nil}, {"gcp", a.GCP != nil}, {"azure", a.Azure != nil},
		{"federated", a.Federated != nil},
	} {
		if w.set {
			ways = append(ways, w.key)
		}
	}
	if len(ways) > 1 {
		ps.add(path, "%s exclude each other; keep one", strings.Join(ways, ", "))
	}
	checkPair(path, "username", "password", !a.Username.IsZero(), !a.Password.IsZero(), ps)
}

// checkPair refuses one of two keys that go together.
func checkPair(path, a, b string, haveA, haveB bool, ps *Problems) {
	switch {
	case haveA && !haveB:
		ps.add(join(path, b), "is missing; it goes together with %s", a)
	case haveB && !haveA:
		ps.add(join(path, a), "is missing; it goes together with %s", b)
	}
}

// checkHost accepts host, host:port and http(s)://host[:port].
func checkHost(text string) error {
	host := text
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https":
			return errors.New("is not a host; expected host[:port], or its URL with https:// or http://")
		case u.User != nil:
			return errors.New("has a user in its URL; use auth for credentials")
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("%s has more than a host; repositories are named in rules", quote(u.Scheme+"://"+u.Host+"/..."))
		}
		host = u.Host
	}
	if strings.Contains(host, "@") {
		return errors.New("has an @; use auth for credentials")
	}
	if strings.Contains(host, "/") {
		return fmt.Errorf("%s has more than a host; repositories are named in rules", quote(host))
	}
	return checkHostPort(host)
}

func checkHostPort(host string) error {
	bad := fmt.Errorf("%s is not a host; expected one such as registry.example.com or registry.lab:5000", quote(host))
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%s is not a host: the port is a number from 1 to 65535", quote(host))
		}
		name = h
	} else if ip, ok := strings.CutPrefix(host, "["); ok {
		name = strings.TrimSuffix(ip, "]")
	}
	if strings.Contains(name, ":") {
		if net.ParseIP(name) == nil {
			return bad
		}
		return nil
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > 253 || strings.Trim(name, letters+".-_") != "" || !strings.ContainsAny(name[:1], letters) {
		return bad
	}
	return nil
}
