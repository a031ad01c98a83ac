package policy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A cloudHost is how the hosts of one cloud are told from others. looks finds
// those that are meant to be one, check says what is wrong with them.
type cloudHost struct {
	provider string
	looks    func(host string) bool
	check    func(host string) error
}

var cloudHosts = []cloudHost{
	{"ecr", looksECR, checkECR},
	{"gar", looksGAR, checkGAR},
	{"acr", looksACR, checkACR},
	{"dockerhub", is("docker.io", "index.docker.io", "registry-1.docker.io"), fine},
	{"ghcr", is("ghcr.io"), fine},
	{"ecrpublic", is("public.ecr.aws"), fine},
	{"gitlab", is("registry.gitlab.com"), fine},
	{"quay", is("quay.io"), fine},
}

// is takes the hosts of a service that has a few names.
func is(names ...string) func(host string) bool {
	return func(host string) bool { return slices.Contains(names, host) }
}

func fine(string) error { return nil }

// cloudOf returns the cloud whose host this is, or is meant to be.
func cloudOf(host string) (cloudHost, bool) {
	for _, c := range cloudHosts {
		if c.looks(host) {
			return c, true
		}
	}
	return cloudHost{}, false
}

// bareHost is the name of a host as a policy writes it: without scheme, port and
// path, in lower case.
func bareHost(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = u.Host
	}
	text, _, _ = strings.Cut(text, "/")
	if h, _, err := net.SplitHostPort(text); err == nil {
		text = h
	}
	return strings.ToLower(strings.TrimSuffix(text, "."))
}

// The suffixes of AWS's partitions, for both stacks, as AWS's own credential
// helper for ECR knows them.
var (
	ecrHost = regexp.MustCompile(`^([^.]*)\.dkr[.-]ecr(-fips)?\.([^.]*)\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn|on\.amazonwebservices\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)
	account = regexp.MustCompile(`^[0-9]{12}$`)
	region  = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
)

func looksECR(host string) bool {
	return strings.Contains(host, ".dkr.ecr") || strings.Contains(host, ".dkr-ecr") ||
		strings.HasPrefix(host, "dkr.ecr") || strings.HasPrefix(host, "dkr-ecr")
}

const ecrShape = "expected one such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com"

func checkECR(host string) error {
	parts := ecrHost.FindStringSubmatch(host)
	switch {
	case parts == nil:
		return fmt.Errorf("%s is no ECR host; %s", quote(host), ecrShape)
	case !account.MatchString(parts[1]):
		return fmt.Errorf("%s is no AWS account, which has 12 digits; %s", quote(parts[1]), ecrShape)
	}
	if err := checkRegion(parts[3]); err != nil {
		return err
	}
	return checkPartition(parts[3], parts[4])
}

// checkRegion refuses what no AWS region can be called.
func checkRegion(name string) error {
	if region.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s is no AWS region; expected one such as eu-west-1", quote(name))
}

// checkPartition refuses a region under another partition's suffix.
func checkPartition(region, suffix string) error {
	for _, p := range []struct {
		regions  string
		suffixes []string
	}{
		{"cn-", []string{"amazonaws.com.cn", "on.amazonwebservices.com.cn"}},
		{"eusc-", []string{"amazonaws.eu", "on.amazonwebservices.eu"}},
	} {
		here := false
		for _, s := range p.suffixes {
			here = here || s == suffix
		}
		switch in := strings.HasPrefix(region, p.regions); {
		case in && !here:
			return fmt.Errorf("region %s is at .%s, not at .%s", region, p.suffixes[0], suffix)
		case here && !in:
			return fmt.Errorf(".%s has the regions %s… only, not %s", suffix, p.regions, region)
		}
	}
	return nil
}

var (
	garHost     = regexp.MustCompile(`^(.*)-docker\.pkg\.dev$`)
	garLocation = regexp.MustCompile(`^[a-z]+(-[a-z]+[0-9]{1,2})?$`)
)

func looksGAR(host string) bool {
	switch host {
	case "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io":
		return true
	}
	return host == "pkg.dev" || strings.HasSuffix(host, ".pkg.dev")
}

func checkGAR(host string) error {
	if strings.HasSuffix(host, "gcr.io") {
		return nil
	}
	const shape = "expected one such as europe-west1-docker.pkg.dev or us-docker.pkg.dev"
	parts := garHost.FindStringSubmatch(host)
	switch {
	case host == "pkg.dev" || host == "docker.pkg.dev":
		return fmt.Errorf("%s has no location; %s", quote(host), shape)
	case parts == nil:
		return fmt.Errorf("%s is no host for container images; %s", quote(host), shape)
	case !garLocation.MatchString(parts[1]):
		return fmt.Errorf("%s is no Google Cloud location; %s", quote(parts[1]), shape)
	}
	return nil
}

var (
	acrHost     = regexp.MustCompile(`^([^.]*)(\.[^.]+\.geo)?\.azurecr\.(io|cn|us)$`)
	acrRegistry = regexp.MustCompile(`^[a-z0-9]{5,50}(-[a-z0-9]+)?$`)
)

func looksACR(host string) bool {
	return strings.HasPrefix(host, "azurecr.") || strings.Contains(host, ".azurecr.")
}

func checkACR(host string) error {
	const shape = "expected one such as acmedr.azurecr.io"
	parts := acrHost.FindStringSubmatch(host)
	switch {
	case strings.Contains(host, ".data.azurecr."):
		registry, _, _ := strings.Cut(host, ".")
		return fmt.Errorf("%s is where ACR keeps data; use the registry, %s.azurecr.io", quote(host), registry)
	case strings.HasPrefix(host, "azurecr."):
		return fmt.Errorf("%s has no registry; %s", quote(host), shape)
	case parts == nil:
		return fmt.Errorf("%s is no ACR host; %s", quote(host), shape)
	case !acrRegistry.MatchString(parts[1]):
		return fmt.Errorf("%s is no registry of ACR, whose names have 5 to 50 letters and digits; %s", quote(parts[1]), shape)
	}
	return nil
}

// checkCloudHost says what is wrong with a host that is meant to be a cloud's.
// Others, such as a private endpoint's or an emulator's, may be anything.
func checkCloudHost(provider, host string) error {
	c, ok := cloudOf(bareHost(host))
	switch {
	case !ok:
		return nil
	case provider == "oci":
		return nil // spoken to as any registry, because the policy says so
	case c.provider != provider:
		return fmt.Errorf("is a host of %s, not of %s; remove provider", c.provider, provider)
	}
	return c.check(bareHost(host))
}

var (
	roleARN        = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
	sessionName    = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	poolProvider   = regexp.MustCompile(`^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$`)
	serviceAccount = regexp.MustCompile(`^[a-z0-9.:-]+@[a-z0-9.:-]+$`)
)

// checkCloudNotation checks the text of a cloud's identity.
func checkCloudNotation(notation, text string) error {
	switch notation {
	case "awsRegion":
		return checkRegion(text)
	case "roleARN":
		if !roleARN.MatchString(text) {
			return fmt.Errorf("%s is no role; expected its ARN, such as arn:aws:iam::123456789012:role/sync", quote(text))
		}
	case "sessionName":
		if !sessionName.MatchString(text) {
			return errors.New("is no session name; expected 2 to 64 letters, digits and _+=,.@-")
		}
	case "poolProvider":
		if !poolProvider.MatchString(text) {
			return fmt.Errorf("%s is no provider of a workload identity pool; expected projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/ID, with the project's number", quote(text))
		}
	case "serviceAccount":
		if !serviceAccount.MatchString(text) {
			return fmt.Errorf("%s is no service account; expected its address, such as sync@acme.iam.gserviceaccount.com", quote(text))
		}
	}
	return nil
}
