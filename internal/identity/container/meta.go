// SPDX-License-Identifier: Apache-2.0

package container

import (
	"maps"
	"slices"
	"strings"
)

// Bounds on what one container's metadata may take: it comes from a socket,
// and labels from whoever made the image.
const (
	maxLabels     = 128
	maxLabelBytes = 16 << 10 // of all keys and values of one map
	maxText       = 1024     // bytes of a name, of an image reference
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
	fill(&m.PodName, m.Labels[labelPodName])
	fill(&m.Namespace, m.Labels[labelPodNamespace])
	fill(&m.PodUID, m.Labels[labelPodUID])
	fill(&m.Name, m.Labels[labelContainerName])
	m.Labels, m.PodLabels = boundLabels(m.Labels), boundLabels(m.PodLabels)
	for _, s := range []*string{&m.Name, &m.Image, &m.PodName, &m.Namespace, &m.PodUID} {
		*s = boundText(*s)
	}
	return m
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// boundLabels keeps whole labels, in the order of their keys, while they fit.
func boundLabels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(labels), maxLabels))
	room := maxLabelBytes
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		key, value := valid(k), valid(labels[k])
		if len(out) < maxLabels && len(key)+len(value) <= room {
			out[key] = value
			room -= len(key) + len(value)
		}
	}
	return out
}

func boundText(s string) string {
	if s = valid(s); len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
