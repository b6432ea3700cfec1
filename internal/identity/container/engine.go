// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// engineSource asks the Docker Engine API, which podman serves too.
func engineSource(socket string, runtime Runtime) source {
	client := unixClient(socket, func(p *http.Protocols) { p.SetHTTP1(true) })
	lookup := func(ctx context.Context, id ID) (Meta, error) {
		meta, err := inspect(ctx, client, id.ID)
		meta.Runtime = runtime
		return meta, err
	}
	return source{socket, is(runtime, OCI), lookup}
}

func inspect(ctx context.Context, client *http.Client, id string) (Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/containers/"+url.PathEscape(id)+"/json", nil)
	if err != nil {
		return Meta{}, fmt.Errorf("inspect container: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Meta{}, fmt.Errorf("inspect container: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return Meta{}, errNotFound
	}
	if resp.StatusCode != http.StatusOK {
		return Meta{}, fmt.Errorf("inspect container: the engine answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return Meta{}, fmt.Errorf("inspect container: %w", err)
	}
	return readInspect(body, id)
}

// readInspect reads ContainerInspectResponse; Name begins with "/" in Docker's.
// The engine also finds names and prefixes, so the id is compared.
func readInspect(body []byte, id string) (Meta, error) {
	var c struct {
		ID     string
		Name   string
		Config struct {
			Image  string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return Meta{}, fmt.Errorf("parse container: %w", err)
	}
	if c.ID != id {
		return Meta{}, errNotFound
	}
	return Meta{Name: strings.TrimPrefix(c.Name, "/"), Image: c.Config.Image, Labels: c.Config.Labels}, nil
}
