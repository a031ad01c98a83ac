package gar

import (
	"net"
	"net/http"
	"time"

	"github.com/transship/transship/providers/oci"
)

// transports are how Google is reached: as the registry is, with its proxy and the
// authorities that it trusts; and the instance's metadata, without a proxy.
func transports(o oci.Options) (web, metadata http.RoundTripper, err error) {
	if o.Base != nil {
		return o.Base, o.Base, nil
	}
	web, err = o.Beside()
	if err != nil {
		return nil, nil, err
	}
	dialer := &net.Dialer{Timeout: metadataTime}
	return web, &http.Transport{DialContext: dialer.DialContext, IdleConnTimeout: 30 * time.Second}, nil
}
