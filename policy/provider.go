package policy

import "fmt"

// Providers are the names that a registry's provider may have in this version.
func Providers() []string {
	return []string{"acr", "dockerhub", "ecr", "ecrpublic", "gar", "ghcr", "gitlab", "layout", "oci", "quay"}
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

// checkProvider tells a provider that is yet to come from one that never was.
func checkProvider(name string) error {
	for _, known := range Providers() {
		if name == known {
			return nil
		}
	}
	if instead, ok := laterProviders(name); ok {
		return fmt.Errorf("provider %q is not in this version; use oci with %s", name, instead)
	}
	return fmt.Errorf("no provider %q; expected %s%s", name, oneOf(Providers()), suggest(name, append(Providers(), laterNames()...)))
}

func laterNames() []string {
	return []string{"harbor"}
}

// laterProviders says how each is reached as a plain registry until then.
func laterProviders(name string) (instead string, ok bool) {
	switch name {
	case "harbor":
		return "auth {username: ..., password: ...} of a robot account", true
	}
	return "", false
}
