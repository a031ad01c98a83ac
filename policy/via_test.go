package policy

import (
	"strings"
	"testing"
)

// TestResourceIDs holds that what the provider would not take for a registry's id, or
// would ask Azure something else with, is told when the policy is read.
func TestResourceIDs(t *testing.T) {
	const sub, of = "/subscriptions/00000000-0000-0000-0000-000000000003", "/providers/Microsoft.ContainerRegistry/registries/"
	for id, good := range map[string]bool{
		sub + "/resourceGroups/rg" + of + "acmedr":                                  true,
		sub + "/resourceGroups/Spiegel_für.(EU)-1" + of + "acmedr":                  true,
		"/subscriptions/mine/resourceGroups/rg" + of + "acmedr":                     false,
		sub + "/resourceGroups/" + strings.Repeat("ü", 90) + of + "acmedr":          true,
		sub + "/resourceGroups/" + strings.Repeat("ü", 91) + of + "acmedr":          false,
		sub + "/resourceGroups/a?b=" + of + "acmedr":                                false,
		sub + "/resourceGroups/rg" + of + "acme":                                    false,
		sub + "/resourceGroups/rg" + of + "acmedr/replications/eu":                  false,
		sub + "/resourceGroups/rg" + of + "acmedr.azurecr.io":                       false,
		"https://management.azure.com" + sub + "/resourceGroups/rg" + of + "acmedr": false,
	} {
		var ps Problems
		Registry{Host: "acmedr.azurecr.io", ResourceID: id}.checkResourceID("registries.azure.resourceID", &ps)
		if got := len(ps) == 0; got != good {
			t.Errorf("%s: %v", id, ps)
		}
	}
}

// TestResourceOfAnother holds that images are not imported into a registry whose id
// was copied from another one's.
func TestResourceOfAnother(t *testing.T) {
	const id = "/subscriptions/00000000-0000-0000-0000-000000000003/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/acmeDR"
	for host, good := range map[string]bool{"acmedr.azurecr.io": true, "acmedr-h4sh.azurecr.io": true, "https://AcmeDR.westeurope.geo.azurecr.io": true,
		"registry.example.com": true, "acmeprod.azurecr.io": false, "acmedr2.azurecr.cn": false} {
		var ps Problems
		Registry{Host: host, Provider: "acr", ResourceID: id}.checkResourceID("registries.azure.resourceID", &ps)
		if got := len(ps) == 0; got != good {
			t.Errorf("%s: %v", host, ps)
		}
	}
}
