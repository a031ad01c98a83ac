package plane

import (
	"encoding/json"
	"net/http"
)

// JSON answers with v, which is made of maps and structs that can be marshalled.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is its own business
}
