// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"

	"connectrpc.com/connect"
)

// DefaultNamespaces are containerd's: ctr and nerdctl, kubelet, Docker.
var DefaultNamespaces = []string{"default", "k8s.io", "moby"}

// containerdSource asks containerd.services.containers.v1.Containers/Get
// (containerd api/services/containers/v1/containers.proto).
func containerdSource(socket string, r rpc, namespaces []string) source {
	lookup := func(ctx context.Context, id ID) (Meta, error) {
		for _, ns := range namespacesFor(id, namespaces) {
			meta, err := containerdGet(ctx, r, ns, id.ID)
			if connect.CodeOf(err) == connect.CodeNotFound {
				continue
			}
			return meta, err
		}
		return Meta{}, errNotFound
	}
	return source{socket, is(Containerd, CRI, Kata, OCI), lookup}
}

func namespacesFor(id ID, namespaces []string) []string {
	if id.Namespace != "" {
		return []string{id.Namespace}
	}
	return namespaces
}

func containerdGet(ctx context.Context, r rpc, namespace, id string) (Meta, error) {
	answer, err := r.call(ctx, "/containerd.services.containers.v1.Containers/Get",
		message(nil).with(1, id), map[string]string{"containerd-namespace": namespace})
	if err != nil {
		return Meta{}, err
	}
	return readContainerd(answer)
}

// readContainerd reads GetContainerResponse{container=1{id=1, labels=2, image=3}}.
func readContainerd(answer message) (Meta, error) {
	c, err := answer.field(1)
	if err != nil {
		return Meta{}, err
	}
	id, err := c.field(1)
	if err != nil {
		return Meta{}, err
	}
	if len(id) == 0 {
		return Meta{}, errNotFound
	}
	image, err := c.field(3)
	if err != nil {
		return Meta{}, err
	}
	labels, err := c.labels(2)
	m := Meta{Runtime: Containerd, Image: string(image), Labels: labels, Name: labels["nerdctl/name"]}
	fill(&m.Name, labels[labelContainerName])
	fill(&m.Name, string(id))
	return m, err
}
