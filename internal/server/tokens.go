// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/durable"
)

const (
	minTokenKey     = 32   // bytes
	maxTokenKey     = 4096 // bytes
	defaultTokenTTL = 8 * time.Hour
	maxTokenTTL     = 24 * time.Hour

	tokenPrefix = "skep_" // lets secret scanners find one that leaked
	tokenClaims = 1 + 4 + 1 + 8 + 16
)

// token is what a bearer token says: version, uid, role, expiry and a random
// id, big endian, followed by their HMAC-SHA256; all of it in base64url.
type token struct {
	uid     uint32
	role    skepv1.Role
	expires time.Time
	id      [16]byte
}

type tokens struct {
	key []byte
	now func() time.Time
}

var errBadToken = errors.New("the token is not valid here; get a new one")
var errExpiredToken = errors.New("the token has expired; get a new one")

// issue makes a token.
func (t tokens) issue(uid uint32, role skepv1.Role, ttl time.Duration) (string, token) {
	tok := token{uid: uid, role: role, expires: t.now().Add(ttl).Truncate(time.Second)}
	rand.Read(tok.id[:]) // never fails (Go 1.24)
	claims := tok.encode()
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(claims, t.sign(claims)...)), tok
}

// verify reads a token that this key has signed and that has not expired.
func (t tokens) verify(s string) (token, error) {
	encoded, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(tokenClaims+sha256.Size) {
		return token{}, errBadToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != tokenClaims+sha256.Size { // it skips line ends
		return token{}, errBadToken
	}
	claims, mac := raw[:tokenClaims], raw[tokenClaims:]
	if !hmac.Equal(mac, t.sign(claims)) {
		return token{}, errBadToken
	}
	tok, ok := decodeToken(claims)
	if !ok {
		return token{}, errBadToken
	}
	if !t.now().Before(tok.expires) {
		return token{}, errExpiredToken
	}
	return tok, nil
}

func (t tokens) sign(claims []byte) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte("skep token\x00")) // the key may one day sign other things
	mac.Write(claims)
	return mac.Sum(nil)
}

func (t token) encode() []byte {
	b := append(make([]byte, 0, tokenClaims), 1)
	b = binary.BigEndian.AppendUint32(b, t.uid)
	b = append(b, byte(t.role))
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires.Unix()))
	return append(b, t.id[:]...)
}

func decodeToken(b []byte) (t token, ok bool) {
	t.uid = binary.BigEndian.Uint32(b[1:])
	t.role = skepv1.Role(b[5])
	t.expires = time.Unix(int64(binary.BigEndian.Uint64(b[6:])), 0)
	copy(t.id[:], b[14:])
	return t, b[0] == 1 && t.role >= skepv1.Role_ROLE_VIEW && t.role <= skepv1.Role_ROLE_ADMIN
}

// LoadTokenKey reads the key at path, or makes one that only its owner can
// read. Removing the file and restarting the agent revokes every token.
func LoadTokenKey(path string) ([]byte, error) {
	key, err := readTokenKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, minTokenKey)
		rand.Read(key)
		err = durable.WriteWhole(path, 0o600, bytes.NewReader(key))
	}
	if err != nil {
		return nil, fmt.Errorf("load token key: %w", err)
	}
	return key, nil
}

// CheckTokenKey says whether LoadTokenKey would take the file that is there, or make one.
func CheckTokenKey(path string) error {
	_, err := readTokenKey(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("load token key: %w", err)
	}
	return nil
}

func readTokenKey(path string) ([]byte, error) {
	key, err := durable.ReadOwn(path, maxTokenKey)
	if err == nil && len(key) < minTokenKey {
		err = fmt.Errorf("read %s: it has %d bytes, not %d", path, len(key), minTokenKey)
	}
	var unopened *fs.PathError // the file is not there, or not for us to read
	if err != nil && !errors.As(err, &unopened) {
		err = fmt.Errorf("%w; remove it (this revokes every token) and start again", err)
	}
	return key, err
}

// shortID names a token in the audit log without giving it away.
func (t token) shortID() string { return hex.EncodeToString(t.id[:8]) }
