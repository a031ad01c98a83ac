package all

import (
	"context"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/dockerhub"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecrpublic"
	"github.com/transship/transship/providers/gar"
	"github.com/transship/transship/providers/ghcr"
	"github.com/transship/transship/providers/harbor"
	"github.com/transship/transship/providers/layout"
)

// samples are hosts that a provider can be opened for without being asked.
var samples = map[string]string{
	"acr":       "registry.azurecr.io",
	"dockerhub": "index.docker.io",
	"ecr":       "000000000000.dkr.ecr.us-east-1.amazonaws.com",
	"ecrpublic": "public.ecr.aws",
	"gar":       "us-docker.pkg.dev",
	"ghcr":      "ghcr.io",
	"gitlab":    "registry.gitlab.com",
	"harbor":    "harbor.example.com",
	"oci":       "registry.example.com",
	"quay":      "quay.io",
}

// Documented is what is known of every registry of the named provider. It asks
// nobody; an unknown name has nothing.
func Documented(name string) providers.Caps {
	if name == "layout" {
		caps, _ := new(layout.Registry).Caps(context.Background()) // of any folder
		return caps
	}
	r, err := Open(name, Options{Host: samples[name], documented: true})
	if err != nil {
		return providers.Caps{}
	}
	defer r.Close()
	switch cloud := r.(type) { // below what the clouds ask their APIs for
	case *acr.Registry:
		r = cloud.Registry
	case *ecr.Registry:
		r = cloud.Registry
	case *ecrpublic.Registry:
		r = cloud.Registry
	case *gar.Registry:
		r = cloud.Registry
	case *harbor.Registry:
		r = cloud.Registry
	case *dockerhub.Registry:
		r = cloud.Registry
	case *ghcr.Registry:
		r = cloud.Registry
	}
	caps, _ := r.Caps(context.Background()) // of a plain registry: its options
	return caps
}
