package acrtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/transship/transship/providers/registrytest/content"
)

// both reaches Entra and the registry.
type both struct{ entra, registry *http.Client }

func (b both) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return b.entra.Do(r)
	}
	return b.registry.Do(r)
}

func sdk(t *testing.T, s *Server, app App) *azcontainerregistry.Client {
	t.Helper()
	o := azcore.ClientOptions{Transport: both{entraClient(t, s.Entra()), s.Client()}, Retry: policy.RetryOptions{MaxRetries: -1},
		InsecureAllowCredentialWithHTTP: true,
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: s.Entra().URL(), Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			azcontainerregistry.ServiceName: {Audience: RegistryAudience}}}}
	cred, err := azidentity.NewClientSecretCredential(app.Tenant, app.ClientID, app.Secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := azcontainerregistry.NewClient(s.URL(), cred, &azcontainerregistry.ClientOptions{ClientOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSDK: Azure's own client signs in, lists, locks and deletes; each change of
// the repository costs it a token, and it fails at tokens with a - in them.
func TestSDK(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "a/b", content.Image("x", nil), "v1", "v2")
	load(t, s, "c", content.Image("y", nil), "v1")
	app := s.Entra().App("sync")
	s.Assign(app.ClientID, AcrPush)
	s.Assign(app.ClientID, AcrDelete)
	c, ctx := sdk(t, s, app), context.Background()
	var names []string
	for pager := c.NewListRepositoriesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range page.Repositories.Names {
			names = append(names, *name)
		}
	}
	if strings.Join(names, " ") != "a/b c" {
		t.Errorf("repositories %v", names)
	}
	one := int32(1)
	tags := 0
	for pager := c.NewListTagsPager("a/b", &azcontainerregistry.ClientListTagsOptions{MaxNum: &one}); pager.More(); tags++ {
		if _, err := pager.NextPage(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if tags != 2 {
		t.Errorf("%d pages of a tag", tags)
	}
	for pager := c.NewListManifestsPager("c", nil); pager.More(); {
		if page, err := pager.NextPage(ctx); err != nil || len(page.Manifests.Attributes) != 1 {
			t.Fatalf("%+v (%v)", page, err)
		}
	}
	locked := false
	if _, err := c.UpdateTagProperties(ctx, "a/b", "v1", &azcontainerregistry.ClientUpdateTagPropertiesOptions{
		Value: &azcontainerregistry.TagWriteableProperties{CanWrite: &locked, CanDelete: &locked}}); err != nil {
		t.Fatal(err)
	}
	_, err := c.DeleteTag(ctx, "a/b", "v1", nil)
	var e *azcore.ResponseError
	if !errors.As(err, &e) || e.StatusCode != 405 {
		t.Errorf("delete a locked tag: %v", err)
	}
	if calls := s.Calls(); calls["exchange"] != 1 || calls["token"] < 4 {
		t.Errorf("calls %v, want an exchange and a token for each scope", calls)
	}
	s.Configure(func(q *Quirks) { q.DirtyTokens = true })
	if _, err := sdk(t, s, app).GetRepositoryProperties(ctx, "c", nil); err == nil || !strings.Contains(err.Error(), "base64") {
		t.Errorf("with a dirty token: %v", err)
	}
	app.Secret = "wrong"
	if _, err := sdk(t, s, app).GetRepositoryProperties(ctx, "c", nil); err == nil || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("with a wrong secret: %v", err)
	}
}
