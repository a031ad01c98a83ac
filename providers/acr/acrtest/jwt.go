package acrtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// jwt writes claims as a token of realistic length; only this package's tables say
// whether it is good. Where dirty, the base64url of its claims has a - or _; else
// it has none if claims are few enough for that to be had.
func jwt(claims map[string]any, dirty bool) string {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT","kid":"WBS7:BGGF"}`))
	signature := make([]byte, 256)
	_, _ = rand.Read(signature) // never fails
	payload := ""
	for range 2000 {
		claims["jti"] = uuid()
		if dirty {
			claims["jti"] = uuid() + "~?~?~?"
		}
		raw, err := json.Marshal(claims)
		if err != nil {
			panic(err) // strings and numbers
		}
		payload = base64.RawURLEncoding.EncodeToString(raw)
		if strings.ContainsAny(payload, "-_") == dirty {
			break
		}
	}
	return head + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func readJWT(token string, into any) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && json.Unmarshal(raw, into) == nil
}
