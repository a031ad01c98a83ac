package gar

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// A Host is what an Artifact Registry host's name tells of it.
type Host struct {
	Location string // europe-west1, or a multi-region such as us
	GCR      string // of a gcr.io host, its name, which its repository has, too
}

var (
	dockerHost = regexp.MustCompile(`^(.*)-docker\.pkg\.dev$`)
	location   = regexp.MustCompile(`^[a-z]+(-[a-z]+[0-9]{1,2})?$`)
)

// gcrLocations are where the repositories of the gcr.io hosts are.
var gcrLocations = map[string]string{"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}

// ParseHost reads the name of an Artifact Registry host, which may have a port. The
// error says what is wrong with a name that is almost one; ok is false, without an
// error, for names that are something else.
func ParseHost(name string) (h Host, ok bool, err error) {
	if bare, _, err := net.SplitHostPort(name); err == nil {
		name = bare
	}
	if at := gcrLocations[name]; at != "" {
		return Host{Location: at, GCR: name}, true, nil
	}
	parts := dockerHost.FindStringSubmatch(name)
	switch {
	case parts == nil && (name == "pkg.dev" || strings.HasSuffix(name, ".pkg.dev")):
		return Host{}, false, fmt.Errorf("%q is no host of container images; those are <location>-docker.pkg.dev", name)
	case parts == nil && strings.HasSuffix(name, ".gcr.io"):
		return Host{}, false, fmt.Errorf("%q is none of gcr.io, us.gcr.io, eu.gcr.io and asia.gcr.io", name)
	case parts == nil:
		return Host{}, false, nil
	case !location.MatchString(parts[1]):
		return Host{}, false, fmt.Errorf("%q in %q is no location of Google Cloud", parts[1], name)
	}
	return Host{Location: parts[1]}, true, nil
}

// where finds the registry by its name, or by the location that is given.
func (o Options) where() (Host, error) {
	h, ok, err := ParseHost(o.OCI.Host)
	switch {
	case err != nil:
		return Host{}, err
	case !ok && o.Endpoints.Location == "":
		return Host{}, fmt.Errorf("%q does not tell the location of the registry", o.OCI.Host)
	case !ok:
		return Host{Location: o.Endpoints.Location}, nil
	}
	return h, nil
}

// A place is what a path means.
type place struct {
	project    string // example.com:acme where the path says example.com/acme
	repository string // "" where the path is too short to name one
	image      string // "" for the repository itself
}

// place reads a path. The project of a domain has two elements.
func (h Host) place(path string) place {
	project, rest, _ := strings.Cut(path, "/")
	if strings.Contains(project, ".") {
		id, more, _ := strings.Cut(rest, "/")
		project, rest = project+":"+id, more
	}
	if h.GCR != "" {
		return place{project, h.GCR, rest}
	}
	repository, image, _ := strings.Cut(rest, "/")
	return place{project, repository, image}
}

// key names the repository, for people and maps.
func (p place) key() string { return p.project + "/" + p.repository }

// path is the place as the data plane has it.
func (h Host) path(p place) string {
	parts := []string{strings.Replace(p.project, ":", "/", 1)}
	if h.GCR == "" {
		parts = append(parts, p.repository)
	}
	return strings.Join(append(parts, p.image), "/")
}

// The resource names of the Admin API.

func (h Host) parent(project string) string {
	return "projects/" + project + "/locations/" + h.Location
}

func (h Host) resource(p place) string { return h.parent(p.project) + "/repositories/" + p.repository }

func (h Host) pkg(p place) string {
	return h.resource(p) + "/packages/" + strings.ReplaceAll(p.image, "/", "%2F")
}

// last is the last element of a resource's name, its slashes decoded.
func last(name string) string {
	return strings.ReplaceAll(name[strings.LastIndex(name, "/")+1:], "%2F", "/")
}
