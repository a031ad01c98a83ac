package acr

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// A Host is what an ACR registry's name tells of it.
type Host struct {
	Registry string
	Region   string // of a regional endpoint of a geo-replicated registry, else ""
	Cloud    string // io (public), cn (China), us (government)
}

var (
	hostForm     = regexp.MustCompile(`^([^.]*)(?:\.([^.]+)\.geo)?\.azurecr\.(io|cn|us)$`)
	registryForm = regexp.MustCompile(`^[a-z0-9]{5,50}(-[a-z0-9]+)?$`)
	regionForm   = regexp.MustCompile(`^[a-z0-9]+$`)
)

// ParseHost reads the name of an ACR registry, which may have a port. The error
// says what is wrong with a name that is almost one; ok is false, without an error,
// for names that are something else.
func ParseHost(name string) (h Host, ok bool, err error) {
	if bare, _, err := net.SplitHostPort(name); err == nil {
		name = bare
	}
	if !strings.HasPrefix(name, "azurecr.") && !strings.Contains(name, ".azurecr.") {
		return Host{}, false, nil
	}
	parts := hostForm.FindStringSubmatch(name)
	registry, _, _ := strings.Cut(name, ".")
	switch {
	case strings.Contains(name, ".data.azurecr."):
		return Host{}, false, fmt.Errorf("%q is where ACR keeps data; the registry is %s.azurecr.io", name, registry)
	case parts == nil:
		return Host{}, false, fmt.Errorf("%q looks like a host of ACR and is none: those are <registry>.azurecr.io", name)
	case !registryForm.MatchString(parts[1]):
		return Host{}, false, fmt.Errorf("%q is no registry of ACR, whose names have 5 to 50 letters and digits", parts[1])
	case parts[2] != "" && !regionForm.MatchString(parts[2]):
		return Host{}, false, fmt.Errorf("%q in %q is no region of Azure", parts[2], name)
	}
	return Host{parts[1], parts[2], parts[3]}, true, nil
}
