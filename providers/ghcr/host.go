package ghcr

import (
	"net"
	"strings"
)

// apiOf is the host of the API that goes with a registry's host, "" where that
// does not tell: GitHub's own, those of GitHub Enterprise Cloud with data residency
// (containers.NAME.ghe.com) and of GitHub Enterprise Server (containers.HOST).
func apiOf(host string) string {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	if host == "ghcr.io" {
		return "api.github.com"
	}
	of, ok := strings.CutPrefix(host, "containers.")
	switch {
	case !ok:
		return ""
	case strings.HasSuffix(of, ".ghe.com"):
		return "api." + of
	}
	return of
}

// rootOf is the path below which a host has the API: GitHub Enterprise Server has
// it beside its pages.
func rootOf(api string) string {
	if strings.HasPrefix(api, "api.") {
		return ""
	}
	return "/api/v3"
}
