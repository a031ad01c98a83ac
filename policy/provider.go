package policy

import (
	"fmt"
	"slices"
)

// Providers are the names that a registry's provider may have in this version.
func Providers() []string {
	return []string{"acr", "dockerhub", "ecr", "ecrpublic", "gar", "ghcr", "gitlab", "harbor", "layout", "oci", "quay"}
}

// InferProvider names the provider of a host when the policy does not: that of the
// cloud or service whose host it is, whether or not it is written rightly, and oci
// for all others.
func InferProvider(host string) string {
	if c, ok := cloudOf(bareHost(host)); ok {
		return c.provider
	}
	return "oci"
}

// checkProvider refuses a provider that there is not.
func checkProvider(name string) error {
	if slices.Contains(Providers(), name) {
		return nil
	}
	return fmt.Errorf("no provider %q; expected %s%s", name, oneOf(Providers()), suggest(name, Providers()))
}
