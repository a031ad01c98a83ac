package all

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/clouds"
	"github.com/transship/transship/providers/registrytest/content"
)

var providerOf = map[string]string{clouds.AWS: "ecr", clouds.GCP: "gar", clouds.Azure: "acr"}

// federated opens the registry of a cloud by what a policy would say.
func federated(t *testing.T, w *clouds.World, to string, a clouds.Auth, change ...func(*Options)) providers.Registry {
	t.Helper()
	o := Options{Host: w.Host(to), CAFile: w.CA(), Push: true, Retry: Retry{Tries: 2, Min: time.Millisecond, Max: 2 * time.Millisecond},
		ACR: ACRIdentity{Credential: "workloadIdentity"},
		Federated: Federation{From: a.From, Audience: a.Audience, TokenFile: a.TokenFile, RoleARN: a.RoleARN, Region: a.Region,
			WorkloadIdentityProvider: a.WorkloadIdentityProvider, ServiceAccount: a.ServiceAccount, TenantID: a.TenantID, ClientID: a.ClientID}}
	for _, c := range change {
		c(&o)
	}
	r, err := Open(providerOf[to], o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// trade signs in, lists, pulls and pushes.
func trade(t *testing.T, r providers.Registry, cloud string) {
	t.Helper()
	repo := clouds.Repo(cloud)
	if who, err := r.Whoami(t.Context()); err != nil || who.Name == providers.Anonymous {
		t.Fatalf("we are %v (%v); %s", who, err, providers.HintOf(err))
	}
	prefix, _, _ := strings.Cut(repo, "/")
	found := false
	for name, err := range r.Repositories(t.Context(), prefix+"/") {
		if err != nil {
			t.Fatal(err)
		}
		found = found || name == repo
	}
	if !found {
		t.Errorf("%s is not listed", repo)
	}
	if m, err := r.Manifest(t.Context(), repo, "v1"); err != nil || m.Digest == (content.Hash(nil)) {
		t.Errorf("pull: %v", err)
	}
	push(t, r, repo)
}

func push(t *testing.T, r providers.Registry, repo string) {
	t.Helper()
	m := content.Image("new", []content.Blob{content.Layer("new", 5000)})
	err := r.Ensure(t.Context(), repo)
	for _, b := range m.Blobs {
		if err == nil {
			_, err = r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{})
		}
	}
	if err == nil {
		_, err = r.PutManifest(t.Context(), repo, "v2", m.Manifest, providers.PutOptions{})
	}
	if err != nil {
		t.Errorf("push: %v", err)
	}
}

// directions are the six, and those of a cluster.
func directions() (all [][2]string) {
	for _, from := range []string{clouds.AWS, clouds.GCP, clouds.Azure, clouds.Kubernetes} {
		for _, to := range slices.Sorted(maps.Keys(providerOf)) {
			if from != to {
				all = append(all, [2]string{from, to})
			}
		}
	}
	return all
}

// TestDirections: each identity signs in at each other cloud with the SDKs, lists,
// pulls and pushes there; every link of the way holds, and the trust to make names
// what is really shown.
func TestDirections(t *testing.T) {
	for _, d := range directions() {
		from, to := d[0], d[1]
		t.Run(from+" to "+to, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(from, to, w.RunsIn(t, from))
			r := federated(t, w, to, a)
			trade(t, r, to)
			way := Way(t.Context(), r)
			if way == nil || len(way.Links) < 3 {
				t.Fatalf("the way is %+v", way)
			}
			for _, l := range way.Links {
				if l.Err != nil || l.Detail == "" {
					t.Errorf("link %s: %q, %v", l.Name, l.Detail, l.Err)
				}
			}
			wants := []string{a.Issuer, a.Subject, a.Expecting}
			if from == clouds.AWS && to == clouds.GCP {
				wants = []string{"--account-id=" + w.ECR.Account(), ":assumed-role/pod", a.ServiceAccount}
			}
			for _, want := range wants {
				if !strings.Contains(way.Trust, strings.TrimPrefix(want, "https://")) {
					t.Errorf("the trust to make lacks %s:\n%s", want, way.Trust)
				}
			}
		})
	}
}
