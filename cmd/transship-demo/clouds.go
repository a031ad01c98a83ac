package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
)

// clouds are the emulators of the three clouds, with all that they refuse.
type clouds struct {
	ecr *ecrtest.Server
	gar *gartest.Server
	acr *acrtest.Server
	key ecrtest.Key // of AWS's user
	app acrtest.App // of Microsoft Entra ID
}

// tokenLife is how long tokens are good in the normal size: hours in the real clouds,
// and so short here that each is renewed in the middle of a copy.
const tokenLife = 3 * time.Second

// The rates of a Premium registry, which the policy states: requests a minute. One
// identity has half of them.
const (
	premiumReads  = 20_000
	premiumWrites = 4_000
)

// distance is the network of the normal size: slow enough to watch.
func distance() registrytest.Wire {
	return registrytest.Wire{Latency: 4 * time.Millisecond, ConnectTrips: 1, BytesPerSecond: 16e6}
}

// start starts the clouds.
func (w *world) start(small bool) error {
	wire := func(q *registrytest.Quirks) {
		if !small {
			q.Wire = distance()
		}
	}
	for _, start := range []func(bool, func(*registrytest.Quirks)) error{w.startAWS, w.startGoogle, w.startAzure} {
		if err := start(small, wire); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) startAWS(small bool, wire func(*registrytest.Quirks)) error {
	dir, err := w.folder("aws")
	if err != nil {
		return err
	}
	s, err := ecrtest.Start(ecrtest.Options{Dir: dir, Wire: wire, Quirks: func(q *ecrtest.Quirks) {
		if !small {
			q.TokenLife = tokenLife
		}
	}})
	if err != nil {
		return fmt.Errorf("aws: %w", err)
	}
	w.closers = append(w.closers, s.Close)
	w.clouds.ecr, w.clouds.key = s, s.IAM().User("demo")
	w.aws = &side{Server: s.Server, name: "aws", about: "the source: Amazon ECR, its API and its rules", calls: w.clouds.awsCalls}
	return nil
}

func (w *world) startGoogle(small bool, wire func(*registrytest.Quirks)) error {
	dir, err := w.folder("google")
	if err != nil {
		return err
	}
	s, err := gartest.Start(gartest.Options{Dir: dir, Wire: wire, Quirks: func(q *gartest.Quirks) {
		if !small {
			q.TokenLife = tokenLife
		}
	}})
	if err != nil {
		return fmt.Errorf("google: %w", err)
	}
	w.closers = append(w.closers, s.Close)
	w.clouds.gar = s
	w.google = &side{Server: s.Server, name: "google", about: "Artifact Registry, where there is no repository yet", calls: w.clouds.googleCalls}
	return os.WriteFile(w.path(googleKey), s.KeyFile(s.IAM().Account("demo")), 0o600)
}

func (w *world) startAzure(small bool, wire func(*registrytest.Quirks)) error {
	dir, err := w.folder("azure")
	if err != nil {
		return err
	}
	s, err := acrtest.Start(acrtest.Options{Dir: dir, TLS: true, Wire: wire, Quirks: func(q *acrtest.Quirks) {
		q.Reads, q.Writes = premiumReads, premiumWrites
		if !small {
			q.RefreshLife, q.AccessLife = tokenLife, tokenLife
		}
	}})
	if err != nil {
		return fmt.Errorf("azure: %w", err)
	}
	w.closers = append(w.closers, s.Close)
	w.clouds.acr, w.clouds.app = s, s.Entra().App("demo")
	s.Assign(w.clouds.app.ClientID, acrtest.AcrPush)
	w.azure = &side{Server: s.Server, name: "azure", about: "Container Registry, with Microsoft Entra ID beside it", calls: w.clouds.azureCalls}
	return os.WriteFile(w.path(azureCA), slices.Concat(s.CA(), s.Entra().CA()), 0o600)
}

// calls is what a cloud's own API was asked, beside the registry.
type calls struct {
	lists  int64 // of repositories, manifests and tags
	other  int64 // about a repository: whether it is there, and to make it
	tokens int64 // sign-ins
	// asOther is how many of them the registry's own counts have as requests of no
	// known kind.
	asOther int64
}

func (c calls) less(o calls) calls {
	return calls{c.lists - o.lists, c.other - o.other, c.tokens - o.tokens, c.asOther - o.asOther}
}

func (c *clouds) awsCalls() calls {
	n := c.ecr.Calls()
	return calls{lists: n["DescribeRepositories"] + n["DescribeImages"], other: n["GetAccountSetting"] + n["CreateRepository"],
		tokens: n["GetAuthorizationToken"] + n["AssumeRole"]}
}

func (c *clouds) googleCalls() calls {
	n := c.gar.Calls()
	return calls{lists: n["ListRepositories"] + n["ListPackages"] + n["ListTags"] + n["ListVersions"],
		other: n["GetRepository"] + n["CreateRepository"], tokens: n["Token"]}
}

func (c *clouds) azureCalls() calls {
	n, entra := c.acr.Calls(), c.acr.Entra().Calls()
	lists, exchanged := n["catalog"]+n["manifests"]+n["tags"], n["exchange"]+n["token"]
	return calls{lists: lists, tokens: exchanged + entra["secret"] + entra["discovery"], asOther: lists + exchanged}
}
