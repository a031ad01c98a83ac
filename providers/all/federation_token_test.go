package all

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/clouds"
)

// exchanges counts what a cloud was shown, and ends what it gave.
func exchanges(w *clouds.World, to string) (n func() int64, end func()) {
	switch to {
	case clouds.AWS:
		return func() int64 { return w.ECR.Calls()["AssumeRoleWithWebIdentity"] }, func() { w.ECR.IAM().ExpireSessions(); w.ECR.ExpireTokens() }
	case clouds.GCP:
		return func() int64 { return w.GAR.Calls()["Exchange"] }, w.GAR.IAM().ExpireTokens
	}
	return func() int64 { return w.ACR.Entra().Calls()["assertion"] }, func() { w.ACR.Entra().ForgetTokens(); w.ACR.ExpireTokens(true) }
}

// both asks the registry itself and its cloud's API.
func both(t *testing.T, r providers.Registry, to string) {
	t.Helper()
	if _, err := r.Head(t.Context(), clouds.Repo(to), "v1"); err != nil {
		t.Error(err)
	}
	for _, err := range r.Rows(t.Context(), clouds.Repo(to)) {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRotatedTokenFile: the cluster replaces its keys and the pod's token; what was
// given for the old one is over, and the next exchange shows the new one. It is one
// exchange each time, however many wait for it.
func TestRotatedTokenFile(t *testing.T) {
	for to := range providerOf {
		t.Run(to, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(clouds.Kubernetes, to, w.RunsIn(t, clouds.Kubernetes))
			r := federated(t, w, to, a)
			n, end := exchanges(w, to)
			for round := range int64(2) {
				var g sync.WaitGroup
				for range 20 {
					g.Go(func() { both(t, r, to) })
				}
				g.Wait()
				if n() != round+1 {
					t.Fatalf("%d exchanges after round %d", n(), round+1)
				}
				w.Cluster.Rotate()
				w.Project(a.Expecting)
				end()
			}
		})
	}
}

// TestTokenFileComesLate: what was mended is found by trying the way again, without a
// restart.
func TestTokenFileComesLate(t *testing.T) {
	w := clouds.New(t)
	a := w.Trust(clouds.Kubernetes, clouds.AWS, w.RunsIn(t, clouds.Kubernetes))
	good := w.Cluster.Token(clouds.Namespace, clouds.Account, a.Expecting, time.Hour)
	w.Write(a.Expecting, "")
	r := federated(t, w, clouds.AWS, a)
	if _, err := r.Whoami(t.Context()); providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("with an empty file: %v", err)
	}
	w.Write(a.Expecting, good)
	if way := Way(t.Context(), r); way.Links[len(way.Links)-1].Err != nil {
		t.Errorf("the way is tried with what is there now: %+v", way)
	}
}

// TestFederationIsSilent: nothing that signs in is in a log, an error, or what an
// identity prints.
func TestFederationIsSilent(t *testing.T) {
	for _, d := range directions() {
		from, to := d[0], d[1]
		w := clouds.New(t)
		a := w.Trust(from, to, w.RunsIn(t, from))
		var log bytes.Buffer
		r := federated(t, w, to, a, func(o *Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		both(t, r, to)
		who, err := r.Whoami(t.Context())
		text := log.String() + fmt.Sprintf("%v %+v %v %+v", who, who, err, Way(t.Context(), r))
		for _, secret := range []string{"eyJ", "ya29.", "Bearer ", "SecretAccessKey:", "AWS4-HMAC"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s to %s: %q is in what is printed:\n%s", from, to, secret, text)
			}
		}
	}
}
