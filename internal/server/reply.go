// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"connectrpc.com/connect"
)

// maxReplyFront is what of an untold answer is kept to find its error in, in bytes.
const maxReplyFront = 4 << 10

// reply is the answer to a call. Connect tells nobody of a call that ends before its
// message is there (a message that cannot be decoded, that is too long, that does not
// come; a method or an encoding that does not exist): only what it answers shows that.
type reply struct {
	http.ResponseWriter
	call   *call
	status int
	front  []byte
}

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *reply) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if room := maxReplyFront - len(r.front); r.call.line.Event == "" && room > 0 {
		r.front = append(r.front, b[:min(room, len(b))]...)
	}
	return r.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, which Connect asks streams for.
func (r *reply) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController set deadlines.
func (r *reply) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// tell ends the call if nobody else has.
func (r *reply) tell() {
	if !r.call.told {
		r.call.ended("call", r.err())
	}
}

// err is the error that was answered. Without one, a call that got this far without its
// message having been read has failed all the same.
func (r *reply) err() error {
	for _, err := range []error{r.grpcError(), r.connectError()} {
		if err != nil {
			return err
		}
	}
	code := connect.CodeUnknown
	switch r.status {
	case 0:
		return connect.NewError(connect.CodeInternal, errors.New("there was no answer"))
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusHTTPVersionNotSupported:
		code = connect.CodeUnimplemented
	}
	return connect.NewError(code, fmt.Errorf("answered with HTTP status %d %s", r.status, http.StatusText(r.status)))
}

func (r *reply) grpcError() error {
	for _, prefix := range []string{http.TrailerPrefix, ""} {
		code, err := strconv.ParseUint(r.Header().Get(prefix+"Grpc-Status"), 10, 32)
		if err == nil && code != 0 {
			message, _ := url.PathUnescape(r.Header().Get(prefix + "Grpc-Message"))
			return connect.NewError(connect.Code(code), errors.New(message))
		}
	}
	return nil
}

// connectError reads the error of a unary call, or that at the end of a stream, which
// has a frame of five bytes around it.
func (r *reply) connectError() error {
	type wire struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
	}
	var body struct {
		wire
		Error *wire `json:"error"`
	}
	front := r.front
	if len(front) > 5 && front[0] != '{' {
		front = front[5:]
	}
	if json.Unmarshal(front, &body) != nil {
		return nil
	}
	if body.Error != nil {
		body.wire = *body.Error
	}
	if body.Code == 0 {
		return nil
	}
	return connect.NewError(body.Code, errors.New(body.Message))
}
