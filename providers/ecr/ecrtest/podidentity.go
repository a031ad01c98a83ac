package ecrtest

import (
	"encoding/json"
	"net/http"
	"time"
)

const podIdentityPath = "/v1/credentials"

// PodIdentityURL is for AWS_CONTAINER_CREDENTIALS_FULL_URI.
func (s *Server) PodIdentityURL() string { return s.api.URL() + podIdentityPath }

// servePodIdentity gives a pod the keys of its role: EKS Pod Identity's agent,
// which is asked with the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.
func (s *Server) servePodIdentity(w http.ResponseWriter, r *http.Request) {
	if f := s.calls.Called("PodIdentity"); f != nil {
		http.Error(w, f.Message, max(f.Status, 400))
		return
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	to := s.iam.roles[s.iam.podTokens[r.Header.Get("Authorization")]]
	if to == nil {
		http.Error(w, "[AccessDeniedException]: Unauthorized Exception! EKS does not have permissions to assume the associated role.", http.StatusBadRequest)
		return
	}
	k := s.iam.session(to, "eks-cluster-pod", 6*time.Hour)
	out, err := json.Marshal(map[string]string{"AccessKeyId": k.ID, "SecretAccessKey": k.Secret, "Token": k.Token,
		"AccountId": to.account, "Expiration": k.expires.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		panic(err) // strings
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out) // a client that went away is its own business
}
