package oci

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

func TestConformance(t *testing.T) {
	plain := func(t *testing.T, s *registrytest.Server) providers.Registry {
		return open(t, s, func(o *Options) {
			o.PageSize = 4
			o.Authenticator = &authn.Basic{Username: "sync", Password: "secret"}
		})
	}
	wrong := func(t *testing.T, s *registrytest.Server) providers.Registry {
		return open(t, s, func(o *Options) { o.Authenticator = &authn.Basic{Username: "sync", Password: "wrong"} })
	}
	auth := registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{"sync": "secret"}}
	for name, h := range map[string]registrytest.Harness{
		"plain": {},
		"token, redirects, relative locations, links": {Quirks: registrytest.Quirks{Auth: auth,
			Blobs:   registrytest.Blobs{Redirect: true},
			Uploads: registrytest.Uploads{Location: registrytest.Relative},
			Listing: registrytest.Listing{PageDefault: 3, PageMax: 3, AbsoluteLink: true}}},
		"wordless": {LackIsInvalid: true, WantsForeign: true,
			Quirks: registrytest.Quirks{Manifests: registrytest.Manifests{LackIsInvalid: true, WantsForeign: true}}},
		"poor": {NoCatalog: true, NoReferrers: true, NoMount: true, NoIfMatch: true, TakesSparse: true,
			Quirks: registrytest.Quirks{
				Listing:   registrytest.Listing{NoCatalog: true, IgnorePaging: true},
				Manifests: registrytest.Manifests{NoReferrers: true, NoIfMatch: true, SparseIndex: true},
				Blobs:     registrytest.Blobs{NoMount: true, NoRange: true},
				Uploads:   registrytest.Uploads{Location: registrytest.OnStorage}}},
	} {
		t.Run(name, func(t *testing.T) {
			h.Open, h.WrongUser = plain, wrong
			h.Refusing = registrytest.Auth{Mode: registrytest.Basic, Users: map[string]string{"sync": "secret"}}
			if h.Quirks.Auth.Mode == registrytest.Bearer {
				h.Refusing.Mode = registrytest.Bearer
			}
			registrytest.Conformance(t, h)
		})
	}
	t.Run("in pieces", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Harness{
			Quirks: registrytest.Quirks{Uploads: registrytest.Uploads{PatchCreated: true}},
			Open: func(t *testing.T, s *registrytest.Server) providers.Registry {
				return open(t, s, func(o *Options) {
					o.Caps.Chunks, o.ChunkFrom, o.ChunkSize = providers.Yes, 10, 20_000
					o.PageSize = 4
				})
			}})
	})
}
