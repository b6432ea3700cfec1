// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"maps"
	"testing"
	"unicode/utf8"
)

// label encodes one map entry.
func label(k, v string) string { return string(message(nil).with(1, k).with(2, v)) }

func containerdAnswer(id, image string) message {
	c := message(nil).with(1, id).with(2, label("app", "shop")).with(3, image)
	return message(nil).with(1, string(c))
}

func criAnswer(id, sandbox string) message {
	c := message(nil).with(1, id).with(2, sandbox).with(3, string(message(nil).with(1, "web"))).
		with(4, string(message(nil).with(1, "img:1"))).with(8, label("tier", "front"))
	c = append(c, 6<<3|0, 1) // state = CONTAINER_RUNNING, a varint to skip
	return message(nil).with(1, string(c))
}

func sandboxAnswer() message {
	metadata := message(nil).with(1, "web-0").with(2, uid).with(3, "prod")
	return message(nil).with(1, string(message(nil).with(1, hexB).with(2, string(metadata)).with(7, label("app", "shop"))))
}

func TestReadMessages(t *testing.T) {
	m, err := readContainerd(containerdAnswer("web", "img:1"))
	if err != nil || m.Name != "web" || m.Image != "img:1" || m.Labels["app"] != "shop" {
		t.Errorf("containerd: %+v, %v", m, err)
	}
	if _, err := readContainerd(nil); !errors.Is(err, errNotFound) {
		t.Errorf("containerd, empty: %v", err)
	}
	m, sandbox, err := readCRIContainer(criAnswer(hexA, hexB), hexA)
	if err != nil || sandbox != hexB || m.Name != "web" || m.Image != "img:1" || m.Labels["tier"] != "front" {
		t.Errorf("CRI container: %+v, %q, %v", m, sandbox, err)
	}
	if _, _, err := readCRIContainer(criAnswer(hexB, hexB), hexA); !errors.Is(err, errNotFound) {
		t.Errorf("CRI container, another id: %v", err)
	}
	if err := readCRISandbox(sandboxAnswer(), &m); err != nil || m.PodName != "web-0" || m.PodUID != uid ||
		m.Namespace != "prod" || !maps.Equal(m.PodLabels, map[string]string{"app": "shop"}) {
		t.Errorf("CRI sandbox: %+v, %v", m, err)
	}
}

func TestReadInspect(t *testing.T) {
	body := `{"Id":"` + hexA + `","Name":"/web","Image":"sha256:12","Config":{"Image":"img:1","Labels":{"app":"shop"}}}`
	m, err := readInspect([]byte(body), hexA)
	if err != nil || m.Name != "web" || m.Image != "img:1" || m.Labels["app"] != "shop" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := readInspect([]byte(body), "web"); !errors.Is(err, errNotFound) {
		t.Errorf("asked by name: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(containerdAnswer("web", "img:1")))
	f.Add([]byte(criAnswer(hexA, hexB)))
	f.Add([]byte(sandboxAnswer()))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _ := readContainerd(data)
		checkBounds(t, m.tidy())
		m, _, _ = readCRIContainer(data, hexA)
		_ = readCRISandbox(data, &m)
		checkBounds(t, m.tidy())
	})
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte(`{"Id":"x","Name":"/web","Config":{"Image":"i","Labels":{"a":"b"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _ := readInspect(data, "x")
		checkBounds(t, m.tidy())
	})
}

func checkBounds(t *testing.T, m Meta) {
	t.Helper()
	for _, labels := range []map[string]string{m.Labels, m.PodLabels} {
		total := 0
		for k, v := range labels {
			total += len(k) + len(v)
		}
		if len(labels) > maxLabels || total > maxLabelBytes {
			t.Fatalf("%d labels of %d bytes", len(labels), total)
		}
	}
	for _, s := range []string{m.Name, m.Image, m.PodName, m.Namespace, m.PodUID} {
		if len(s) > maxText || !utf8.ValidString(s) {
			t.Fatalf("%d bytes: %q", len(s), s)
		}
	}
}
