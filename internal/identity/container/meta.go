// SPDX-License-Identifier: Apache-2.0

package container

import "strings"

// Bounds on what one container's metadata may take: it comes from a socket.
const (
	maxLabels   = 128
	maxLabelKey = 256
	maxText     = 4096
)

// Meta is what a runtime knows about a container.
type Meta struct {
	Runtime   Runtime // set where the path could not tell it
	Name      string
	Image     string
	Labels    map[string]string
	PodUID    string
	PodName   string
	Namespace string // of the pod
	PodLabels map[string]string
}

// Labels that kubelet sets on what it lets a runtime make.
const (
	labelPodName       = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// tidy fills what kubelet's labels tell and enforces the bounds.
func (m Meta) tidy() Meta {
	m.Labels, m.PodLabels = boundLabels(m.Labels), boundLabels(m.PodLabels)
	fill(&m.PodName, m.Labels[labelPodName])
	fill(&m.Namespace, m.Labels[labelPodNamespace])
	fill(&m.PodUID, m.Labels[labelPodUID])
	fill(&m.Name, m.Labels[labelContainerName])
	for _, s := range []*string{&m.Name, &m.Image, &m.PodName, &m.Namespace, &m.PodUID} {
		*s = boundText(*s, maxText)
	}
	return m
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func boundLabels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(labels), maxLabels))
	for k, v := range labels {
		if len(k) > maxLabelKey {
			continue
		}
		if len(out) == maxLabels {
			break
		}
		out[boundText(k, maxLabelKey)] = boundText(v, maxText)
	}
	return out
}

func boundText(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
