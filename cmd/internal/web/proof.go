package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
)

// A Proof is the answer of /api/v1/proof: that the daemon has the token, and answers at
// the address that was asked itself.
type Proof struct {
	Proof string `json:"proof"`
}

// proofOf is what whoever has the token, and nobody else, can tell of a challenge that
// was received at an address. The address keeps another from passing the challenge on.
func proofOf(token, challenge string, at netip.AddrPort) string {
	mac := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(mac, "transship api proof v1\n%s\n%s", netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), challenge)
	return hex.EncodeToString(mac.Sum(nil))
}

// leastChallenge and mostChallenge bound the length of a challenge.
const leastChallenge, mostChallenge = 16, 128

// prove answers a challenge. It is for this machine's commands: others could try words
// against the answer at their leisure.
func (s *Server) prove(r *http.Request) (any, error) {
	challenge := r.FormValue("challenge")
	if s.o.Token == "" || !isLoopback(r.RemoteAddr) {
		return nil, refused{http.StatusNotFound, errors.New("nothing is proved to you"), "ask from the daemon's own machine"}
	}
	if n := len(challenge); n < leastChallenge || n > mostChallenge {
		return nil, badRequest("send ?challenge= and some random text", "the challenge has %d bytes; %d to %d are wanted", n, leastChallenge, mostChallenge)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	at, err := netip.ParseAddrPort(fmt.Sprint(local))
	if err != nil {
		return nil, fmt.Errorf("prove the token: the address that was asked at: %w", err)
	}
	return Proof{proofOf(s.o.Token, challenge, at)}, nil
}

// ErrNotProved is the error of a [Client] that kept its token to itself: what listens
// there is not the daemon whose token it is.
var ErrNotProved = errors.New("what listens there does not prove that it has the token, and was not shown it")

// proof has the server prove that it has the token.
func (c *Client) proof(ctx context.Context) error {
	var at netip.AddrPort
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		at, _ = netip.ParseAddrPort(i.Conn.RemoteAddr().String())
	}})
	challenge := rand.Text()
	var p Proof
	err := c.request(traced, http.MethodGet, "/api/v1/proof?"+url.Values{"challenge": {challenge}}.Encode(), "", nil, &p)
	if r, ok := errors.AsType[*Refusal](err); ok {
		return fmt.Errorf("%w: %w", ErrNotProved, r)
	}
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(p.Proof), []byte(proofOf(c.Token, challenge, at))) {
		return ErrNotProved
	}
	return nil
}
