// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/api/skep/v1/skepv1connect"
)

func TestTokenRoundTrip(t *testing.T) {
	now := time.Unix(1_800_000_000, 5)
	ts := tokens{key: bytes.Repeat([]byte{7}, 32), now: func() time.Time { return now }}
	text, issued := ts.issue(1000, skepv1.Role_ROLE_OPERATE, time.Hour)
	got, err := ts.verify(text)
	if err != nil || got != issued || got.uid != 1000 || got.role != skepv1.Role_ROLE_OPERATE || got.expires.Unix() != now.Unix()+3600 {
		t.Fatalf("%+v, %v; issued %+v", got, err, issued)
	}
	if other, _ := ts.issue(1000, skepv1.Role_ROLE_OPERATE, time.Hour); other == text {
		t.Error("two tokens are the same")
	}
	now = now.Add(time.Hour)
	if _, err := ts.verify(text); !errors.Is(err, errExpiredToken) {
		t.Errorf("an hour later: %v", err)
	}
}

func TestForgedTokens(t *testing.T) {
	ts := tokens{key: bytes.Repeat([]byte{7}, 32), now: time.Now}
	text, _ := ts.issue(1000, skepv1.Role_ROLE_VIEW, time.Hour)
	if _, err := (tokens{key: bytes.Repeat([]byte{8}, 32), now: time.Now}).verify(text); !errors.Is(err, errBadToken) {
		t.Errorf("another key: %v", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, tokenPrefix))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		forged := bytes.Clone(raw)
		forged[bit/8] ^= 1 << (bit % 8)
		if _, err := ts.verify(tokenPrefix + base64.RawURLEncoding.EncodeToString(forged)); !errors.Is(err, errBadToken) {
			t.Fatalf("bit %d changed: %v", bit, err)
		}
	}
	for _, bad := range []string{"", "skep_", text[:len(text)-1], text + "A", text[1:], strings.Repeat("A", 5000), text + "\n"} {
		if _, err := ts.verify(bad); !errors.Is(err, errBadToken) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// bearer is a client that sends an Authorization header.
func bearer(a *agent, value string) skepv1connect.AgentServiceClient {
	set := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", value)
			return next(ctx, req)
		}
	})
	return skepv1connect.NewAgentServiceClient(httpClient(a.socket, false), "http://skep", connect.WithInterceptors(set))
}

func TestTokensOverTheSocket(t *testing.T) {
	needRoot(t) // whoever else runs it has no role to make tokens with
	a := startAgent(t)
	ctx := t.Context()
	made, err := client(a.socket).CreateToken(ctx, &skepv1.CreateTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(made.GetExpires().AsTime()); made.GetRole() != skepv1.Role_ROLE_VIEW || left > 8*time.Hour || left < 8*time.Hour-time.Minute {
		t.Errorf("by default: %v", made)
	}
	id, err := bearer(a, "Bearer "+made.GetToken()).GetIdentity(ctx, &skepv1.GetIdentityRequest{})
	if err != nil || !id.GetByToken() || id.GetRole() != skepv1.Role_ROLE_VIEW || id.GetUid() != 0 || !id.GetExpires().AsTime().Equal(made.GetExpires().AsTime()) {
		t.Errorf("%v, %v", id, err)
	}
	if _, err := bearer(a, "bearer "+made.GetToken()).CreateToken(ctx, &skepv1.CreateTokenRequest{}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a token from a token: %v", err)
	}
	// root must not get its own rights where it sends a bad token.
	for _, header := range []string{"Bearer x", "Bearer", "", "Basic cm9vdDo=", made.GetToken(), "Bearer " + made.GetToken() + "x"} {
		if _, err := bearer(a, header).GetIdentity(ctx, &skepv1.GetIdentityRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("Authorization %q: %v", header, err)
		}
	}
	yesterday := tokens{key: a.tokens.key, now: func() time.Time { return time.Now().Add(-24 * time.Hour) }}
	expired, _ := yesterday.issue(0, skepv1.Role_ROLE_ADMIN, time.Hour)
	if _, err := bearer(a, "Bearer "+expired).GetIdentity(ctx, &skepv1.GetIdentityRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("expired: %v", err)
	}
	if strings.Contains(a.audit.text(), made.GetToken()) || !strings.Contains(a.audit.text(), `"token_id":"`) {
		t.Error("the audit log must name the token, and must not hold it")
	}
}

func TestCreateTokenRules(t *testing.T) {
	a := startAgent(t)
	for _, c := range []struct {
		name string
		own  skepv1.Role
		req  *skepv1.CreateTokenRequest
		code string
		role skepv1.Role
	}{
		{"default role is view", skepv1.Role_ROLE_ADMIN, &skepv1.CreateTokenRequest{}, "ok", skepv1.Role_ROLE_VIEW},
		{"own role", skepv1.Role_ROLE_OPERATE, &skepv1.CreateTokenRequest{Role: skepv1.Role_ROLE_OPERATE}, "ok", skepv1.Role_ROLE_OPERATE},
		{"more than own", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Role: skepv1.Role_ROLE_OPERATE}, "permission_denied", 0},
		{"no such role", skepv1.Role_ROLE_ADMIN, &skepv1.CreateTokenRequest{Role: 9}, "invalid_argument", 0},
		{"negative role", skepv1.Role_ROLE_ADMIN, &skepv1.CreateTokenRequest{Role: -1}, "invalid_argument", 0},
		{"a day", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Ttl: durationpb.New(24 * time.Hour)}, "ok", skepv1.Role_ROLE_VIEW},
		{"more than a day", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Ttl: durationpb.New(24*time.Hour + 1)}, "invalid_argument", 0},
		{"nothing", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Ttl: durationpb.New(0)}, "invalid_argument", 0},
		{"past", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Ttl: durationpb.New(-time.Hour)}, "invalid_argument", 0},
		{"overflow", skepv1.Role_ROLE_VIEW, &skepv1.CreateTokenRequest{Ttl: &durationpb.Duration{Seconds: 1 << 62}}, "invalid_argument", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), callKey{}, &call{caller: caller{uid: 5, user: "ann", role: c.own}})
			res, err := a.CreateToken(ctx, c.req)
			if codeOf(err) != c.code || res.GetRole() != c.role {
				t.Fatalf("%v, %v", res, err)
			}
			if err == nil {
				if tok, err := a.tokens.verify(res.GetToken()); err != nil || tok.uid != 5 || tok.role != c.role {
					t.Errorf("%+v, %v", tok, err)
				}
			}
		})
	}
}

// TestTokenKeyIsMadeWhole: the key gets its name when all of it is there, so that a power cut
// leaves none or a whole one.
func TestTokenKeyIsMadeWhole(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MODIFY); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTokenKey(filepath.Join(dir, "token.key")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	var masks []uint32 // of what happened to the name
	for events := buf[:n]; len(events) >= unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		if unix.ByteSliceToString(events[unix.SizeofInotifyEvent:end]) == "token.key" {
			masks = append(masks, binary.NativeEndian.Uint32(events[4:]))
		}
		events = events[end:]
	}
	if len(masks) != 1 || masks[0] != unix.IN_MOVED_TO {
		t.Errorf("inotify masks %#x, want one of a rename", masks)
	}
}

func TestLoadTokenKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	key, err := LoadTokenKey(path)
	if err != nil || len(key) != minTokenKey || bytes.Equal(key, make([]byte, minTokenKey)) {
		t.Fatalf("%x, %v", key, err)
	}
	if again, err := LoadTokenKey(path); err != nil || !bytes.Equal(again, key) {
		t.Errorf("the second time: %x, %v", again, err)
	}
	info, _ := os.Stat(path)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	os.Chmod(path, 0o640)
	if _, err := LoadTokenKey(path); err == nil || !strings.Contains(err.Error(), "others may have read or written it") {
		t.Errorf("readable by others: %v", err)
	}
	os.WriteFile(path, []byte("short"), 0o600)
	os.Chmod(path, 0o600)
	if _, err := LoadTokenKey(path); err == nil || !strings.Contains(err.Error(), "has 5 bytes") || !strings.Contains(err.Error(), "remove it (this revokes every token)") {
		t.Errorf("short: %v", err)
	}
	os.Rename(path, path+".elsewhere")
	os.WriteFile(path+".elsewhere", bytes.Repeat([]byte{1}, minTokenKey), 0o600)
	os.Symlink(path+".elsewhere", path)
	if _, err := LoadTokenKey(path); err == nil || strings.Contains(err.Error(), "revokes") {
		t.Errorf("a key that a link leads to: %v", err)
	}
	if _, err := LoadTokenKey(filepath.Join(path, "nowhere")); err == nil {
		t.Error("no error where it cannot be made")
	}
}
