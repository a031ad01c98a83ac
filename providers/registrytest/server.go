package registrytest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Options is how a server is started. The zero value is plain HTTP, in memory.
type Options struct {
	// Dir is where blobs are kept; "" is memory. It has to exist, and is left
	// with the blobs' files in it.
	Dir string
	// TLS serves https, with a CA of the server's own; see [Server.CA].
	TLS bool
	// Expired makes the certificate one that ended an hour ago.
	Expired bool
	// Addr is the address to listen at, 127.0.0.1:0 if empty. It has to be loopback.
	Addr string
	// Quirks are those to begin with.
	Quirks Quirks
	// Cloud is what an emulator decides instead of the front.
	Cloud Cloud
}

// A Server is a registry on loopback. Its methods are safe for concurrent use.
type Server struct {
	store   *store
	backend *backend
	uploads *uploads
	tokens  *tokens
	counts  *counter
	log     requestLog
	faults  *faulter
	signer  signer
	cloud   Cloud
	ca      *authority

	inPace, outPace direction

	api, storage, token *side

	quirks atomic.Pointer[Quirks]
	before atomic.Pointer[func(*http.Request, Class) *Fault]

	mu       sync.Mutex
	released chan struct{}
	hooks    map[int64][]func()

	done   chan struct{}
	once   sync.Once
	served sync.WaitGroup // handlers
	loops  sync.WaitGroup // listeners
}

// A side is one listener and its HTTP server.
type side struct {
	name Side
	url  string
	host string
	http *http.Server
}

// New starts a server that ends with the test.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatalf("start a test registry: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server: the registry, its storage host and its token service,
// on three ports of one address. The caller closes it.
func Start(opts Options) (*Server, error) {
	s := &Server{
		store: newStore(), backend: newBackend(newDriver(opts.Dir)), uploads: newUploads(),
		tokens: newTokens(), counts: newCounter(), faults: newFaulter(), signer: newSigner(), cloud: opts.Cloud,
		released: make(chan struct{}), hooks: map[int64][]func(){}, done: make(chan struct{}),
	}
	s.outPace = direction{new(pacer), func(c *conn) *pacer { return &c.out }}
	s.inPace = direction{new(pacer), func(c *conn) *pacer { return &c.in }}
	s.quirks.Store(&opts.Quirks)
	if err := s.listen(opts); err != nil {
		s.Close()
		return nil, fmt.Errorf("start registry: %w", err)
	}
	return s, nil
}

func (s *Server) listen(opts Options) error {
	addr := opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", addr)
	}
	if opts.TLS {
		if s.ca, err = newAuthority(host, opts.Expired); err != nil {
			return err
		}
	}
	beside := net.JoinHostPort(host, "0")
	if s.api, err = s.open(API, addr, &s.counts.conns, s.serveAPI); err != nil {
		return err
	}
	if s.storage, err = s.open(StorageHost, beside, &s.counts.storageConns, s.serveStorage); err != nil {
		return err
	}
	s.token, err = s.open(TokenService, beside, &s.counts.tokens, s.serveToken)
	return err
}

func (s *Server) open(name Side, addr string, opened *atomic.Int64, serve func(*exchange)) (*side, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(name, w, r, serve) }),
		ConnContext: withConn(opened),
		ErrorLog:    silent(),
		Protocols:   new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true) // one TCP flow a body, as blob clients want it
	sd := &side{name: name, host: l.Addr().String(), url: "http://" + l.Addr().String(), http: srv}
	if s.ca != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{s.ca.leaf}, MinVersion: tls.VersionTLS12})
		sd.url = "https://" + sd.host
	}
	s.loops.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("registrytest: %s listener ended: %v", name, err))
		}
	})
	return sd, nil
}

// Close ends the listeners and every connection, waits for what is being served,
// and gives the memory back. It may be called twice.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.done)
		for _, sd := range []*side{s.api, s.storage, s.token} {
			if sd != nil {
				_ = sd.http.Close()
			}
		}
		s.loops.Wait()
		s.served.Wait()
		s.backend.close()
	})
}

// Host is the registry's host:port.
func (s *Server) Host() string { return s.api.host }

// URL is the registry's scheme and host.
func (s *Server) URL() string { return s.api.url }

// StorageHost is the host:port that redirected blob reads go to.
func (s *Server) StorageHost() string { return s.storage.host }

// TokenURL is the token service's URL, the realm of the challenge.
func (s *Server) TokenURL() string { return s.token.url + "/token" }

// CA is the certificate, in PEM, that the server's own is signed with; nil
// without TLS.
func (s *Server) CA() []byte {
	if s.ca == nil {
		return nil
	}
	return s.ca.pem
}

// Client is an HTTP client that trusts the server. It has its own connections.
func (s *Server) Client() *http.Client {
	transport := &http.Transport{}
	if s.ca != nil {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(s.ca.pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}
}
