package acrtest

import (
	"bytes"
	"context"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
)

// A reading is a source that an import reads.
type reading struct{ *oci.Registry }

func (r reading) close() { _ = r.Close() }

// sourceOf opens the source: a host, by the credential that was given or as anybody,
// or another registry of Azure, by the rights of who asks.
func (s *Server) sourceOf(in importing, who identity) (reading, *armFault) {
	o := oci.Options{Host: in.Source.RegistryURI, PlainHTTP: true, Authenticator: authn.Anonymous, Retry: oci.Retry{Tries: 1}}
	if c := in.Source.Credentials; c.Password != "" {
		o.Authenticator = authn.FromConfig(authn.AuthConfig{Username: c.Username, Password: c.Password})
	}
	if id := in.Source.ResourceID; id != "" {
		s.manager.mu.Lock()
		source := s.manager.known[id]
		s.manager.mu.Unlock()
		if source == nil {
			return reading{}, &armFault{400, "InvalidParameters", "source registry " + id + " was not found"}
		}
		o.Host = source.Host()
		o.Authenticator = authn.FromConfig(authn.AuthConfig{Username: tokenUser, Password: source.newRefresh(who.app.ClientID, who.tenant)})
	}
	r, err := oci.New(o)
	if err != nil {
		return reading{}, &armFault{400, "InvalidParameters", err.Error()}
	}
	return reading{r}, nil
}

func sourceFault(err error) *armFault {
	switch providers.KindOf(err) {
	case providers.Denied:
		return &armFault{403, "Unauthorized", "source registry: unauthorized: access to the requested resource is denied"}
	case providers.NotFound:
		return &armFault{404, "ImageNotFound", "source image was not found"}
	}
	return &armFault{400, "InvalidParameters", "source registry cannot be read: " + err.Error()}
}

// tree reads a manifest and what is below it, the deepest first.
func (r reading) tree(ctx context.Context, repo, ref string) ([]providers.Manifest, *armFault) {
	m, err := r.Manifest(ctx, repo, ref)
	if err != nil {
		return nil, sourceFault(err)
	}
	c, err := providers.Parse(m)
	if err != nil {
		return nil, &armFault{400, "InvalidParameters", err.Error()}
	}
	var all []providers.Manifest
	for _, child := range c.Children {
		below, f := r.tree(ctx, repo, child.Digest.String())
		if f != nil {
			return nil, f
		}
		all = append(all, below...)
	}
	return append(all, m), nil
}

func (r reading) copyTo(ctx context.Context, s *Server, repo, target string, all []providers.Manifest) *armFault {
	for _, m := range all {
		c, err := providers.Parse(m)
		if err != nil {
			return sourceFault(err)
		}
		for _, d := range c.Blobs() {
			if s.Has(target, d.Digest) {
				continue
			}
			body, err := r.Open(ctx, repo, d, 0)
			if err != nil {
				return sourceFault(err)
			}
			raw, err := io.ReadAll(body)
			body.Close()
			if err != nil {
				return sourceFault(err)
			}
			if err := s.LoadBlob(target, content.Blob{Descriptor: d, Content: bytes.NewReader(raw)}); err != nil {
				return sourceFault(err)
			}
		}
		if err := s.LoadManifest(target, m); err != nil {
			return sourceFault(err)
		}
	}
	return nil
}
