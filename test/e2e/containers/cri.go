// SPDX-License-Identifier: Apache-2.0

package containers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
)

// Pod is what kubelet would ask for; it is run on the host's network.
type Pod struct {
	Name, Namespace, UID string
	Labels               map[string]string
	CgroupParent         string // "" for /kubepods/burstable/pod<UID>
}

// PodContainer is a container in a running pod.
type PodContainer struct {
	Container
	Sandbox string // id of the pod's sandbox container
}

// RunPod starts a pod with one container of the given name, by CRI as kubelet
// does. Its first process is probe with args.
func (c *Containerd) RunPod(t testing.TB, pod Pod, name string, args ...string) *PodContainer {
	t.Helper()
	if pod.CgroupParent == "" {
		pod.CgroupParent = "/kubepods/burstable/pod" + pod.UID
	}
	r := cri{t, c.Socket}
	t.Cleanup(func() { removeCgroups(pod.CgroupParent) })
	sandbox := r.call("RunPodSandbox", message(1, pod.config()))
	t.Cleanup(func() {
		r.call("StopPodSandbox", text(1, sandbox))
		r.call("RemovePodSandbox", text(1, sandbox))
	})
	id := r.call("CreateContainer", text(1, sandbox), message(2, containerConfig(pod, name, args)), message(3, pod.config()))
	r.call("StartContainer", text(1, id))
	return &PodContainer{Container{ID: id, PID: c.taskPIDIn(t, "k8s.io", id)}, sandbox}
}

// config is a PodSandboxConfig.
func (p Pod) config() []byte {
	const hostNetwork = 2
	namespaces := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), hostNetwork)
	security := message(1, namespaces)
	linux := append(text(1, p.CgroupParent), message(2, security)...)
	metadata := join(text(1, p.Name), text(2, p.UID), text(3, p.Namespace))
	return join(message(1, metadata), labels(6, p.Labels), message(8, linux))
}

// containerConfig has the labels that kubelet gives.
func containerConfig(p Pod, name string, args []string) []byte {
	command := text(3, "/probe")
	for _, a := range args {
		command = append(command, text(4, a)...)
	}
	return join(message(1, text(1, name)), message(2, text(1, Image)), command, labels(9, map[string]string{
		"io.kubernetes.container.name": name, "io.kubernetes.pod.name": p.Name,
		"io.kubernetes.pod.namespace": p.Namespace, "io.kubernetes.pod.uid": p.UID,
	}))
}

func text(field protowire.Number, s string) []byte { return message(field, []byte(s)) }

func message(field protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
}

func labels(field protowire.Number, m map[string]string) (all []byte) {
	for k, v := range m {
		all = append(all, message(field, append(text(1, k), text(2, v)...))...)
	}
	return all
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// cri calls runtime.v1.RuntimeService.
type cri struct {
	t      testing.TB
	socket string
}

// call returns field 1 of the response: the id of what was made.
func (r cri) call(method string, fields ...[]byte) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket)
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := connect.NewClient[[]byte, []byte](&http.Client{Transport: transport},
		"http://localhost/runtime.v1.RuntimeService/"+method, connect.WithGRPC(), connect.WithCodec(encoded{}))
	request := join(fields...)
	response, err := client.CallUnary(ctx, connect.NewRequest(&request))
	if err != nil {
		r.t.Errorf("CRI %s: %v", method, err)
		r.t.FailNow()
	}
	if _, kind, n := protowire.ConsumeTag(*response.Msg); n > 0 && kind == protowire.BytesType {
		id, _ := protowire.ConsumeString((*response.Msg)[n:])
		return id
	}
	return ""
}

// encoded passes messages that are encoded already.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) ([]byte, error) {
	if b, ok := v.(*[]byte); ok {
		return *b, nil
	}
	return nil, fmt.Errorf("marshal %T: want *[]byte", v)
}

func (encoded) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("unmarshal %T: want *[]byte", v)
	}
	*b = append([]byte(nil), data...)
	return nil
}
