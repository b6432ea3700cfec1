// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"

	"connectrpc.com/connect"
)

// sandboxName is given to a pod's sandbox (pause) container, which has none.
const sandboxName = "sandbox"

// criSource asks runtime.v1.RuntimeService (k8s.io/cri-api
// pkg/apis/runtime/v1/api.proto): ListContainers for one id gives the
// container and its sandbox, PodSandboxStatus the pod.
func criSource(socket string, r rpc, runtime Runtime) source {
	lookup := func(ctx context.Context, id ID) (Meta, error) {
		meta, sandbox, err := criContainer(ctx, r, id.ID)
		if err != nil {
			return Meta{}, err
		}
		meta.Runtime = runtime
		if sandbox == "" { // not a container: maybe a sandbox
			sandbox, meta.Name = id.ID, sandboxName
		}
		err = criSandbox(ctx, r, sandbox, &meta)
		return meta, err
	}
	if runtime == CRIO {
		return source{socket, is(CRIO, CRI, Kata, OCI), lookup}
	}
	return source{socket, func(id ID) bool {
		return is(CRI, Kata)(id) || id.PodUID != "" || id.Namespace == "k8s.io"
	}, lookup}
}

// criContainer reads ListContainersResponse{containers=1{id=1,
// pod_sandbox_id=2, metadata=3{name=1}, image=4{image=1}, labels=8}}.
func criContainer(ctx context.Context, r rpc, id string) (m Meta, sandbox string, err error) {
	filter := message(nil).with(1, id)
	answer, err := r.call(ctx, "/runtime.v1.RuntimeService/ListContainers", message(nil).with(1, string(filter)), nil)
	if err != nil {
		return Meta{}, "", err
	}
	return readCRIContainer(answer, id)
}

func readCRIContainer(answer message, id string) (m Meta, sandbox string, err error) {
	c, err := answer.field(1)
	if err != nil || len(c) == 0 {
		return Meta{}, "", err
	}
	for _, f := range []struct {
		into *string
		path []fieldNumber
	}{
		{&sandbox, []fieldNumber{2}}, {&m.Name, []fieldNumber{3, 1}}, {&m.Image, []fieldNumber{4, 1}},
	} {
		if err := c.text(f.into, f.path...); err != nil {
			return Meta{}, "", err
		}
	}
	got := ""
	if err := c.text(&got, 1); err != nil || got != id {
		return Meta{}, "", errNotFound // the filter also takes prefixes
	}
	m.Labels, err = c.labels(8)
	return m, sandbox, err
}

func criSandbox(ctx context.Context, r rpc, sandbox string, m *Meta) error {
	answer, err := r.call(ctx, "/runtime.v1.RuntimeService/PodSandboxStatus", message(nil).with(1, sandbox), nil)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return readCRISandbox(answer, m)
}

// readCRISandbox reads PodSandboxStatusResponse{status=1{metadata=2{name=1,
// uid=2, namespace=3}, labels=7}}.
func readCRISandbox(answer message, m *Meta) error {
	status, err := answer.field(1)
	if err != nil {
		return err
	}
	for into, path := range map[*string][]fieldNumber{
		&m.PodName: {2, 1}, &m.PodUID: {2, 2}, &m.Namespace: {2, 3},
	} {
		if err := status.text(into, path...); err != nil {
			return err
		}
	}
	m.PodLabels, err = status.labels(7)
	return err
}
