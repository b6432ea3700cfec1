// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
)

const (
	maxResponse = 4 << 20         // bytes of one answer from a socket
	callTimeout = 2 * time.Second // of one call
)

// unixClient is an HTTP client that reaches one unix socket, whatever the URL.
func unixClient(socket string, protocols func(*http.Protocols)) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxIdleConns:           1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	protocols(transport.Protocols)
	return &http.Client{Transport: transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// rpc calls unary gRPC methods on one unix socket.
type rpc struct{ client *http.Client }

func newRPC(socket string) rpc {
	return rpc{unixClient(socket, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })}
}

// call sends one encoded request to /service/method.
func (r rpc) call(ctx context.Context, method string, request message, header map[string]string) (message, error) {
	client := connect.NewClient[message, message](r.client, "http://localhost"+method,
		connect.WithGRPC(), connect.WithCodec(rawCodec{}), connect.WithReadMaxBytes(maxResponse),
		connect.WithAcceptCompression("gzip", nil, nil))
	req := connect.NewRequest(&request)
	for k, v := range header {
		req.Header().Set(k, v)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := client.CallUnary(ctx, req)
	if err != nil {
		return nil, err
	}
	return *response.Msg, nil
}

// rawCodec hands encoded messages through; it is "proto" on the wire.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("marshal %T: %w", v, errWire)
	}
	return *m, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("unmarshal %T: %w", v, errWire)
	}
	*m = append(message(nil), data...) // connect reuses its buffer
	return nil
}
