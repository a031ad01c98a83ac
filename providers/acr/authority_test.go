package acr

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/transship/transship/providers/oci"
)

// A registry of another cloud of Microsoft's signs in there, whatever authority the
// environment names: AKS names its own in every pod.
func TestAuthorityOfItsCloud(t *testing.T) {
	const named = "https://login.microsoftonline.com/"
	for host, want := range map[string]string{
		"acmedr.azurecr.cn": cloud.AzureChina.ActiveDirectoryAuthorityHost,
		"acmedr.azurecr.us": cloud.AzureGovernment.ActiveDirectoryAuthorityHost,
		"acmedr.azurecr.io": named,
	} {
		r, err := New(Options{OCI: oci.Options{Host: host}, Endpoints: Endpoints{Authority: named}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.clientOptions()
		if err != nil || o.Cloud.ActiveDirectoryAuthorityHost != want {
			t.Errorf("%s signs in at %q (%v), want %q", host, o.Cloud.ActiveDirectoryAuthorityHost, err, want)
		}
	}
}
