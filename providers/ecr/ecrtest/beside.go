package ecrtest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// A Service is another of AWS's services at the same endpoint, with the same IAM,
// for emulators of what stands beside ECR.
type Service struct {
	Target string // what X-Amz-Target begins with: "SpencerFrontendService."
	Name   string // by which requests are signed and allowed: "ecr-public"
	// Do answers an operation of somebody who may ask for it: a value for JSON, or
	// the fault.
	Do func(Call) (any, *Fault)
}

// A Call is one operation of a Service.
type Call struct {
	Op      string
	Body    []byte
	Account string // the caller's
	// May reports whether the caller may do an action, such as "sts:GetServiceBearerToken".
	May func(action string) bool
	// Key is the caller's access key id, for [Server.MayByKey].
	Key string
}

// Beside adds a service. Set it up before the first request.
func (s *Server) Beside(svc Service) { s.beside = append(s.beside, svc) }

// MayByKey reports whether the holder of an access key is known and may do an
// action, and of which account it is.
func (s *Server) MayByKey(id, action string) (account string, ok bool) {
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	k := s.iam.keys[id]
	if k == nil || k.revoked {
		return "", false
	}
	return k.who.account, k.who.may(action)
}

// Denial is IAM's own sentence about an action that the holder of a key may not do.
func (s *Server) Denial(id, action, resource string) string {
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	who := "nobody"
	if k := s.iam.keys[id]; k != nil {
		who = k.session
	}
	return "User: " + who + " is not authorized to perform: " + action + " on resource: " + resource +
		" because no identity-based policy allows the " + action + " action"
}

// Throttled reports whether an operation comes faster than Quirks.Rates allows.
func (s *Server) Throttled(op string) bool { return s.throttled(op) }

// serveBeside answers for the service that a request is for, if there is one.
func (s *Server) serveBeside(w http.ResponseWriter, r *http.Request, body []byte) bool {
	for _, svc := range s.beside {
		if op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), svc.Target); ok {
			s.operateBeside(w, r, svc, op, body)
			return true
		}
	}
	return false
}

func (s *Server) operateBeside(w http.ResponseWriter, r *http.Request, svc Service, op string, body []byte) {
	if f := s.calls.Called(op); f != nil {
		sendFail(w, &fail{f.Status, f.Code, f.Message}, *f)
		return
	}
	who, f := s.caller(r, body, svc.Name)
	action := svc.Name + ":" + op
	switch {
	case f != nil:
	case s.throttled(op):
		f = failf("ThrottlingException", "Rate exceeded")
	case !s.iam.may(who.who, action):
		f = &fail{400, "AccessDeniedException", s.Denial(who.ID, action, "*")}
	}
	if f != nil {
		sendFail(w, f, Fault{})
		return
	}
	may := func(action string) bool { return s.iam.may(who.who, action) }
	answer, fault := svc.Do(Call{Op: op, Body: body, Account: who.who.account, May: may, Key: who.ID})
	if fault != nil {
		sendFail(w, &fail{fault.Status, fault.Code, fault.Message}, Fault{})
		return
	}
	out, err := json.Marshal(answer)
	if err != nil {
		panic(err) // structs of the emulators
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = w.Write(out) // a client that went away is its own business
}
