// SPDX-License-Identifier: Apache-2.0

package container

import "testing"

const storageList = `[{"id":"` + hexB + `","names":["zz"],"metadata":"{\"image-name\":\"img:1\",\"name\":\"zz\"}"},
 {"id":"` + hexA + `","names":["k8s_web"],"metadata":"{\"image-name\":\"img:2\",\"metadata-name\":\"web\",\"pod-id\":\"x\",` +
	`\"uid\":\"` + uid + `\",\"namespace\":\"prod\"}"}]`

func TestReadStorage(t *testing.T) {
	m, ok, err := readStorage([]byte(storageList), hexB)
	if err != nil || !ok || m.Name != "zz" || m.Image != "img:1" {
		t.Errorf("podman: %+v, %v, %v", m, ok, err)
	}
	m, ok, err = readStorage([]byte(storageList), hexA)
	if err != nil || !ok || m.Name != "web" || m.Image != "img:2" || m.PodUID != uid || m.Namespace != "prod" {
		t.Errorf("cri-o: %+v, %v, %v", m, ok, err)
	}
	if _, ok, err := readStorage([]byte(storageList), "zz"); ok || err != nil {
		t.Errorf("by name: %v, %v", ok, err)
	}
}

func FuzzStorage(f *testing.F) {
	f.Add([]byte(storageList))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok, err := readStorage(data, hexA)
		if ok && err != nil {
			t.Fatalf("%+v with %v", m, err)
		}
		checkBounds(t, m.tidy())
	})
}
