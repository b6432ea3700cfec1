// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// FuzzToken: whatever a client sends as its token, it is valid only if it is, byte for
// byte, what this key makes of its claims; and even signed claims are if they make sense.
func FuzzToken(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	ts := tokens{key: bytes.Repeat([]byte{7}, 32), now: func() time.Time { return now }}
	written := func(claims []byte) string {
		return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(bytes.Clone(claims), ts.sign(claims)...))
	}
	good := token{uid: 1000, role: skepv1.Role_ROLE_VIEW, expires: now.Add(time.Hour), id: [16]byte{1, 2, 3}}.encode()
	f.Add(written(good), good)
	f.Add(written(good)+"\n", good[:29])
	f.Add(strings.TrimPrefix(written(good), tokenPrefix), append(bytes.Clone(good), 0))
	f.Add("skep_", []byte{})
	f.Add(tokenPrefix+base64.RawURLEncoding.EncodeToString(append(bytes.Clone(good), make([]byte, sha256.Size)...)), []byte{})
	f.Add(tokenPrefix+strings.Repeat("\n", base64.RawURLEncoding.EncodedLen(tokenClaims+sha256.Size)), []byte{})
	for at, b := range map[int]byte{0: 2, 5: 9, 6: 0xff, 12: 0} { // version, role, far from now
		claims := bytes.Clone(good)
		claims[at] = b
		f.Add(written(claims), claims)
	}
	f.Fuzz(func(t *testing.T, sent string, claims []byte) {
		for _, s := range []string{sent, written(claims)} {
			tok, err := ts.verify(s)
			if err != nil {
				if tok != (token{}) || !errors.Is(err, errBadToken) && !errors.Is(err, errExpiredToken) {
					t.Errorf("%q: %+v with error %v", s, tok, err)
				}
				continue
			}
			if written(tok.encode()) != s {
				t.Errorf("%q is taken for %+v, which is written otherwise", s, tok)
			}
			if !tok.expires.After(now) || tok.role != skepv1.Role_ROLE_VIEW && tok.role != skepv1.Role_ROLE_OPERATE && tok.role != skepv1.Role_ROLE_ADMIN {
				t.Errorf("%q is valid: %+v", s, tok)
			}
		}
	})
}
