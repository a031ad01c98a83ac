package ecr

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// session is who we are at the service's API: its clients, once they are needed,
// and for a while that AWS does not take us.
type session struct {
	mu      sync.Mutex
	clients *clients
	refused error
	until   time.Time
}

// refusedFor is how long a refused identity is not shown again.
const refusedFor = time.Minute

// api returns the clients, or why we are refused.
func (r *Registry) api(ctx context.Context) (*clients, error) {
	s := &r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil && time.Now().Before(s.until) {
		return nil, s.refused
	}
	if s.clients == nil {
		c, err := r.connect(ctx)
		if err != nil {
			s.refused, s.until = err, time.Now().Add(refusedFor)
			return nil, err
		}
		s.clients = c
	}
	s.refused = nil
	return s.clients, nil
}

// stopped notes that AWS does not take us, so that it is not asked again at once.
// What it was asked with is read anew then: somebody may have mended it.
func (s *session) stopped(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = nil
	s.refused, s.until = err, time.Now().Add(refusedFor)
}

// isRefused reports whether it is the identity itself that AWS does not take.
func (s *session) isRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused != nil
}

// signIn fetches the registry token, one for all repositories of the region. It
// is an [oci.SignIn]: called once however many wait, and at half a token's life.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	const op = "sign in"
	out, err := slotless(ctx, r, op, "", &ecr.GetAuthorizationTokenInput{}, (*ecr.Client).GetAuthorizationToken)
	if err != nil {
		return oci.Credential{}, err
	}
	for _, data := range out.AuthorizationData {
		raw, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
		user, password, ok := strings.Cut(string(raw), ":")
		if err == nil && ok && password != "" {
			return oci.Credential{Username: user, Password: password, Expires: aws.ToTime(data.ExpiresAt), Who: r.who()}, nil
		}
	}
	return oci.Credential{}, r.fail(op, "", providers.Invalid, errors.New("ECR's answer holds no token that can be read"), "")
}
