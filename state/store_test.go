package state

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// An upload's location may be signed: no way of printing shows it.
func TestUploadIsNotPrinted(t *testing.T) {
	u := Upload{Repo: Repo{Host: "h", Name: "a"}, Location: "https://h/u?sig=secret"}
	marshalled, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(marshalled), fmt.Sprint(u), fmt.Sprintf("%+v", &u), fmt.Sprintf("%+v", []Upload{u})} {
		if strings.Contains(text, "secret") {
			t.Errorf("printed: %s", text)
		}
	}
}
