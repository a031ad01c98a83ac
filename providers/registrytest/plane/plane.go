// Package plane is what the emulators have beside their registry, each alike: an API
// on a port of its own, calls that are counted, and faults that are planned. It is
// never part of the shipped binary.
package plane

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/transship/transship/providers/registrytest"
)

// An API is a listener of plain HTTP beside a registry. It is safe for concurrent use.
type API struct {
	host string
	http *http.Server
	loop sync.WaitGroup
}

// Serve opens an API at the registry's address, on another port. The caller closes it.
func Serve(registry *registrytest.Server, serve http.HandlerFunc) (*API, error) {
	address, _, err := net.SplitHostPort(registry.Host())
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, err
	}
	a := &API{host: l.Addr().String(), http: &http.Server{Handler: serve}}
	a.loop.Go(func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("plane: the API at %s ended: %v", a.host, err))
		}
	})
	return a, nil
}

// Host is the API's host:port.
func (a *API) Host() string { return a.host }

// URL is the API's scheme and host.
func (a *API) URL() string { return "http://" + a.host }

// Close ends the listener and all connections. It may be called twice.
func (a *API) Close() {
	_ = a.http.Close()
	a.loop.Wait()
}
