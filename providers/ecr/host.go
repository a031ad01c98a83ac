package ecr

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// A Host is what an ECR registry's name tells of it.
type Host struct {
	Account   string // twelve digits
	Region    string
	Partition string // aws, aws-cn, aws-us-gov, aws-eusc and so on
	FIPS      bool
	DualStack bool
}

// The forms of ECR's hosts: the plain and the FIPS one, and the dual-stack one,
// each below the domain of its partition.
var (
	plainHost = regexp.MustCompile(`^([0-9]+)\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)
	dualHost  = regexp.MustCompile(`^([0-9]+)\.dkr-ecr(-fips)?\.([a-z0-9-]+)\.(on\.aws|on\.amazonwebservices\.com\.cn|on\.amazonwebservices\.eu)$`)
	region    = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]+$`)
)

// partitions by the beginning of their regions' names, the longer ones first.
var partitions = []struct{ prefix, name, plain, dual string }{
	{"cn-", "aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn"},
	{"us-gov-", "aws-us-gov", "amazonaws.com", "on.aws"},
	{"eusc-", "aws-eusc", "amazonaws.eu", "on.amazonwebservices.eu"},
	{"us-isob-", "aws-iso-b", "sc2s.sgov.gov", ""},
	{"us-isof-", "aws-iso-f", "csp.hci.ic.gov", ""},
	{"us-iso-", "aws-iso", "c2s.ic.gov", ""},
	{"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", ""},
	{"", "aws", "amazonaws.com", "on.aws"},
}

// ParseHost reads the name of an ECR registry, which may have a port. The error
// says what is wrong with a name that is almost one; ok is false, without an error,
// for names that are something else.
func ParseHost(name string) (h Host, ok bool, err error) {
	if bare, _, err := net.SplitHostPort(name); err == nil {
		name = bare
	}
	parts := plainHost.FindStringSubmatch(name)
	if parts == nil {
		parts = dualHost.FindStringSubmatch(name)
		h.DualStack = parts != nil
	}
	if parts == nil {
		if strings.Contains(name, ".dkr.ecr") || strings.Contains(name, ".dkr-ecr") {
			return Host{}, false, fmt.Errorf("%q looks like a host of Amazon ECR and is none: those are <account>.dkr.ecr.<region>.amazonaws.com", name)
		}
		return Host{}, false, nil
	}
	h.Account, h.FIPS, h.Region = parts[1], parts[2] != "", parts[3]
	if len(h.Account) != 12 {
		return Host{}, false, fmt.Errorf("the account in %q has %d digits, and accounts of AWS have 12", name, len(h.Account))
	}
	if !region.MatchString(h.Region) {
		return Host{}, false, fmt.Errorf("%q in %q is no region of AWS", h.Region, name)
	}
	return h, true, h.place(name, parts[4])
}

// place finds the partition, to which the domain has to belong.
func (h *Host) place(name, domain string) error {
	for _, p := range partitions {
		if !strings.HasPrefix(h.Region, p.prefix) {
			continue
		}
		h.Partition = p.name
		if want := map[bool]string{false: p.plain, true: p.dual}[h.DualStack]; domain != want {
			return fmt.Errorf("the registries of %s are below %s, not below %s as %q is", h.Region, want, domain, name)
		}
		return nil
	}
	return nil
}

// partitionOf is the partition of a region.
func partitionOf(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return "aws"
}
