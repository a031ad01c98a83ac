package policy

import "fmt"

// Providers are the names that a registry's provider may have in this version.
func Providers() []string { return []string{"layout", "oci"} }

// InferProvider names the provider of a host when the policy does not: in this
// version every host is spoken to as a plain OCI registry.
func InferProvider(string) string { return "oci" }

// checkProvider tells a provider that is yet to come from one that never was.
func checkProvider(name string) error {
	if name == "oci" || name == "layout" {
		return nil
	}
	if instead, ok := laterProviders(name); ok {
		return fmt.Errorf("provider %q is not in this version; use oci with %s", name, instead)
	}
	return fmt.Errorf("no provider %q; expected oci or layout%s", name, suggest(name, append(Providers(), laterNames()...)))
}

func laterNames() []string {
	return []string{"acr", "dockerhub", "ecr", "ecrpublic", "gar", "ghcr", "gitlab", "harbor", "quay"}
}

// laterProviders says how each cloud is reached as a plain registry until then.
func laterProviders(name string) (instead string, ok bool) {
	switch name {
	case "ecr", "ecrpublic":
		return `auth {username: AWS, password: ...} from "aws ecr get-login-password", or dockerConfig with docker-credential-ecr-login`, true
	case "gar":
		return `auth {username: oauth2accesstoken, password: ...} from "gcloud auth print-access-token", or dockerConfig with docker-credential-gcr`, true
	case "acr":
		return `auth {identityToken: ...} from "az acr login --expose-token", or a token's username and password`, true
	case "ghcr":
		return "auth {username: ..., password: a personal access token with read:packages and write:packages}", true
	case "dockerhub":
		return "host index.docker.io and auth {username: ..., password: an access token}", true
	case "quay", "harbor":
		return "auth {username: ..., password: ...} of a robot account", true
	case "gitlab":
		return "auth {username: ..., password: ...} of a deploy token", true
	}
	return "", false
}
